// The pages behind the links of mails. Everything is set as text; the token is kept in memory alone.
"use strict";

const WORDS = {
  en: {
    invitation: {
      title: "You are invited",
      about: "Choose a password for your new account.",
      submit: "Accept the invitation",
      other: "I have an account already: accept with it",
      done: "The invitation is accepted. You can sign in now.",
    },
    reset: {
      title: "Choose a new password",
      about: "All your sessions end. A second factor stays as it is.",
      submit: "Set the password",
      done: "Your password is set. You can sign in with it now.",
    },
    ask: {
      title: "Choose a new password",
      about: "Write the e-mail address of your account: a link comes by mail.",
      submit: "Send the link",
      done: "If there is an account with that address, a mail is on its way.",
    },
    confirm: {
      title: "Confirm your e-mail address",
      about: "From now on you are reached, and sign in, at the address that this link was sent to.",
      submit: "Confirm the address",
      done: "Your address is confirmed.",
    },
    email: "E-mail address", name: "Your name (if it is not as in the invitation)", password: "New password",
    hint: "At least 8 characters, and hard to guess: several words do well.", shown: "Show the password",
    used: "This link was used already or is too old. Ask for a new one.",
    missing: "Part of the link is missing. Open it once more from the mail, whole.",
    needed: "Fill this in first.",
    noAccount: "There is no account with that address yet: choose a password for it.",
    slow: (seconds) => `Too many tries. Wait ${seconds} seconds and try again.`,
    failed: "It did not work. Check your connection and try again.",
    signIn: "Sign in",
  },
  es: {
    invitation: {
      title: "Recibiste una invitación",
      about: "Elegí una contraseña para tu cuenta nueva.",
      submit: "Aceptar la invitación",
      other: "Ya tengo una cuenta: aceptar con ella",
      done: "La invitación está aceptada. Ya podés ingresar.",
    },
    reset: {
      title: "Elegí una contraseña nueva",
      about: "Se cierran todas tus sesiones. El segundo factor sigue como está.",
      submit: "Guardar la contraseña",
      done: "La contraseña está guardada. Ya podés ingresar con ella.",
    },
    ask: {
      title: "Elegí una contraseña nueva",
      about: "Escribí la dirección de correo de tu cuenta: te llega un enlace.",
      submit: "Enviar el enlace",
      done: "Si hay una cuenta con esa dirección, el correo está en camino.",
    },
    confirm: {
      title: "Confirmá tu dirección de correo",
      about: "Desde ahora te escribimos, e ingresás, con la dirección a la que llegó este enlace.",
      submit: "Confirmar la dirección",
      done: "Tu dirección está confirmada.",
    },
    email: "Dirección de correo", name: "Tu nombre (si no es el de la invitación)", password: "Contraseña nueva",
    hint: "Al menos 8 caracteres y difícil de adivinar: varias palabras van bien.", shown: "Mostrar la contraseña",
    used: "Este enlace ya se usó o es demasiado viejo. Pedí uno nuevo.",
    missing: "Falta una parte del enlace. Abrilo otra vez desde el correo, entero.",
    needed: "Completá esto primero.",
    noAccount: "Todavía no hay una cuenta con esa dirección: elegí una contraseña.",
    slow: (seconds) => `Demasiados intentos. Esperá ${seconds} segundos y probá otra vez.`,
    failed: "No funcionó. Revisá tu conexión y probá otra vez.",
    signIn: "Ingresar",
  },
  pt: {
    invitation: {
      title: "Você recebeu um convite",
      about: "Escolha uma senha para a sua nova conta.",
      submit: "Aceitar o convite",
      other: "Já tenho uma conta: aceitar com ela",
      done: "O convite foi aceito. Você já pode entrar.",
    },
    reset: {
      title: "Escolha uma nova senha",
      about: "Todas as suas sessões são encerradas. O segundo fator continua como está.",
      submit: "Salvar a senha",
      done: "A senha foi salva. Você já pode entrar com ela.",
    },
    ask: {
      title: "Escolha uma nova senha",
      about: "Escreva o e-mail da sua conta: você recebe um link.",
      submit: "Enviar o link",
      done: "Se houver uma conta com esse e-mail, a mensagem está a caminho.",
    },
    confirm: {
      title: "Confirme o seu e-mail",
      about: "A partir de agora escrevemos para o endereço que recebeu este link, e você entra com ele.",
      submit: "Confirmar o e-mail",
      done: "O seu e-mail foi confirmado.",
    },
    email: "E-mail", name: "O seu nome (se não for o do convite)", password: "Nova senha",
    hint: "Pelo menos 8 caracteres e difícil de adivinhar: várias palavras funcionam bem.", shown: "Mostrar a senha",
    used: "Este link já foi usado ou é antigo demais. Peça um novo.",
    missing: "Falta uma parte do link. Abra-o de novo a partir do e-mail, inteiro.",
    needed: "Preencha isto primeiro.",
    noAccount: "Ainda não há uma conta com esse e-mail: escolha uma senha.",
    slow: (seconds) => `Tentativas demais. Espere ${seconds} segundos e tente de novo.`,
    failed: "Não funcionou. Verifique a sua conexão e tente de novo.",
    signIn: "Entrar",
  },
};

// What each page asks for, and whom it tells.
const KINDS = {
  invitation: { fields: ["name", "password"], route: "/v1/auth/invitations/accept" },
  reset: { fields: ["password"], route: "/v1/auth/password/reset" },
  ask: { fields: ["email"], route: "/v1/auth/password/forgotten" },
  confirm: { fields: [], route: "/v1/auth/email/confirm" },
};

const by = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
// Neither the address bar nor the history keeps it.
history.replaceState(null, "", location.pathname);

let kind = { "/invitation": "invitation", "/confirm-email": "confirm" }[location.pathname] ?? (token ? "reset" : "ask");
let language = [...navigator.languages, "en"].map((tag) => tag.slice(0, 2)).find((tag) => tag in WORDS);
// What was said last, to be said again in another language.
let said = () => "";
let done = false;

function say(words) {
  said = words;
  by("status").textContent = done ? "" : said(WORDS[language]);
  if (done) by("about").textContent = said(WORDS[language]);
}

function show() {
  const words = WORDS[language];
  const { fields } = KINDS[kind];
  document.documentElement.lang = language;
  document.title = words[kind].title;
  by("title").textContent = words[kind].title;
  by("about").textContent = done ? said(words) : words[kind].about;
  by("submit").textContent = words[kind].submit;
  by("other").textContent = words[kind].other ?? "";
  by("other").hidden = !words[kind].other;
  by("hint").textContent = words.hint;
  by("shown-label").textContent = words.shown;
  for (const field of ["email", "name", "password"]) {
    by(`${field}-field`).hidden = !fields.includes(field);
    document.querySelector(`label[for="${field}"]`).textContent = words[field];
  }
  const isWhole = kind === "ask" || token !== "";
  by("form").hidden = done || !isWhole;
  if (!isWhole) by("about").textContent = words.missing;
  // Who asked for a mail waits for it; where there is no monitor there is no door either.
  const onwards = by("onwards");
  if (onwards) {
    onwards.hidden = !done || kind === "ask";
    onwards.firstElementChild.textContent = words.signIn;
  }
  if (!done) by("status").textContent = said(words);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

// What is wrong, in words; and with which field, if with one.
function explain(problem, retryAfter, withPassword) {
  if (problem?.code === "wrong_credentials") return [(words) => words.used, null];
  if (problem?.code === "too_many") return [(words) => words.slow(retryAfter ?? "60"), null];
  const [, field, detail] = /^`(\w+)`: ([^]*)$/.exec(problem?.detail ?? "") ?? [];
  if (field === "password" && !withPassword) return [(words) => words.noAccount, "password"];
  if (field && by(field)) return [() => detail, field];
  return [(words) => words.failed, null];
}

async function submit(withFields) {
  const { fields, route } = KINDS[kind];
  const body = kind === "ask" ? {} : { token };
  for (const field of withFields ? fields : []) {
    const value = field === "password" ? by(field).value : by(field).value.trim();
    if (value) body[field] = value;
    else if (field !== "name") return refuse((words) => words.needed, field);
  }
  const buttons = [by("submit"), by("other")];
  for (const button of buttons) button.disabled = true;
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(route, { method: "POST", headers, body: JSON.stringify(body) });
    if (answer.ok) return finish();
    const problem = await answer.json().catch(() => null);
    refuse(...explain(problem, answer.headers.get("Retry-After"), withFields));
  } catch {
    refuse((words) => words.failed, null);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function refuse(words, field) {
  say(words);
  for (const each of ["email", "name", "password"]) by(each).setAttribute("aria-invalid", String(each === field));
  if (field) by(field).focus();
}

function finish() {
  by("password").value = "";
  done = true;
  say((words) => words[kind].done);
  show();
  by("title").tabIndex = -1;
  by("title").focus();
}

by("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(true);
});
by("other").addEventListener("click", () => submit(false));
by("shown").addEventListener("change", ({ target }) => {
  by("password").type = target.checked ? "text" : "password";
});
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    language = button.dataset.language;
    show();
  });
}
show();
