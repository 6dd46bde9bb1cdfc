// Shows /openapi.json. Everything is set as text: nothing in the document becomes markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function resolve(api, schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return either.map(typeOf).filter(Boolean).join(" | ");
  const type = [schema.type].flat().filter(Boolean).join(" | ");
  return schema.items ? `[${typeOf(schema.items)}]` : type;
}

// The fields of a schema as name → [type, description], parts of a composition together.
function fieldsOf(api, schema, seen = new Set()) {
  const whole = resolve(api, schema);
  if (!whole || seen.has(whole)) return [];
  seen.add(whole);
  const parts = [whole.allOf, whole.oneOf, whole.anyOf].flat().filter(Boolean);
  const required = new Set(whole.required ?? []);
  const own = Object.entries(whole.properties ?? {}).map(([name, field]) => [
    name,
    typeOf(field) + (required.has(name) ? "" : ", optional"),
    field.description ?? resolve(api, field)?.description ?? "",
  ]);
  // The items of a page have no name of their own: their fields stand below it.
  const within = Object.entries(whole.properties ?? {}).flatMap(([name, field]) =>
    field.items?.properties ? fieldsOf(api, field.items, seen).map(([inner, ...rest]) => [`${name}[].${inner}`, ...rest]) : [],
  );
  return own.concat(within, parts.flatMap((part) => fieldsOf(api, part, seen)));
}

function list(rows) {
  const made = element("dl");
  for (const [name, type, description] of rows) {
    made.append(element("dt", `${name}: ${type}`), element("dd", description));
  }
  return made;
}

function section(title, rows) {
  return rows.length ? [element("h3", title), list(rows)] : [];
}

function bodyOf(part) {
  return Object.values(part?.content ?? {})[0]?.schema;
}

function exampleOf(api, part) {
  const body = Object.values(part?.content ?? {})[0];
  const schema = resolve(api, body?.schema);
  return body?.example ?? schema?.examples?.[0] ?? schema?.example;
}

function example(api, part) {
  const given = exampleOf(api, part);
  if (given === undefined) return [];
  return [element("pre", typeof given === "string" ? given : JSON.stringify(given, null, 2))];
}

// What may be said of a parameter's values.
function rangeOf(schema) {
  const said = [];
  if (schema?.enum) said.push(`one of ${schema.enum.join(", ")}`);
  if (schema?.minimum !== undefined) said.push(`from ${schema.minimum}`);
  if (schema?.maximum !== undefined) said.push(`to ${schema.maximum}`);
  if (schema?.default !== undefined) said.push(`${schema.default} if left out`);
  if (schema?.maxLength !== undefined) said.push(`at most ${schema.maxLength} characters`);
  return said.length ? ` (${said.join(", ")})` : "";
}

// Who may, as words: `owner: break_glass`, `key: read or manage`.
function permission(said) {
  const granted = Object.entries(said["x-permission"]?.granted ?? {}).filter(([, how]) => how !== "no");
  if (!granted.length) return element("p", "For everybody: no credential is needed.", "who");
  const words = granted.map(([who, how]) => {
    if (Array.isArray(how)) return `${who} with ${how.join(" or ")}`;
    return how === "yes" ? who : `${who} (${how.replaceAll("_", " ")})`;
  });
  return element("p", `For: ${words.join(", ").replaceAll("_", " ")}.`, "who");
}

function answer(api, status, given) {
  const said = given.$ref ? api.components.responses[given.$ref.split("/").pop()] : given;
  const schema = bodyOf(said);
  if (said["x-codes"]) return [status, said.description];
  return [element("h3", `Answer ${status}: ${typeOf(schema) || said.description || "no body"}`),
    list(fieldsOf(api, schema)), ...example(api, said)];
}

function operation(api, method, path, said) {
  const made = element("details");
  made.id = said.operationId;
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), `method ${method}`), element("code", path));
  summary.append(element("span", said.summary ?? "", "says"));
  made.append(summary);
  made.dataset.words = `${method} ${path} ${said.summary ?? ""} ${said.description ?? ""} ${said.operationId}`.toLowerCase();
  // The rest is made when somebody looks: there are many of them.
  made.addEventListener("toggle", () => made.open && fill(api, made, said), { once: true });
  return made;
}

function fill(api, made, said) {
  if (said.description) made.append(element("p", said.description));
  made.append(permission(said));
  const parameters = (said.parameters ?? []).map((parameter) => [
    parameter.name,
    `${typeOf(parameter.schema) || "text"}, in ${parameter.in}${parameter.required ? "" : ", optional"}`,
    (parameter.description ?? "") + rangeOf(parameter.schema),
  ]);
  made.append(...section("Parameters", parameters));
  const body = bodyOf(said.requestBody);
  if (body) {
    made.append(...section(`Body: ${typeOf(body)}`, fieldsOf(api, body)), ...example(api, said.requestBody));
  }
  const refusals = [];
  for (const [status, given] of Object.entries(said.responses ?? {})) {
    const shown = answer(api, status, given);
    if (typeof shown[0] === "string") refusals.push([status, "problem", shown[1]]);
    else made.append(...shown);
  }
  made.append(...section("Refused", refusals));
}

function show(api) {
  document.getElementById("about").textContent = `${api.info.title} ${api.info.version}\n${api.info.description}`;
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const tag = item[method].tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(api, method, path, item[method]));
    }
  }
  const routes = document.getElementById("routes");
  for (const [tag, operations] of [...groups].sort(([a], [b]) => a.localeCompare(b))) {
    const group = element("section");
    const about = (api.tags ?? []).find((known) => known.name === tag)?.description;
    group.append(element("h2", tag), ...(about ? [element("p", about)] : []), ...operations);
    routes.append(group);
  }
}

function filter(event) {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of document.querySelectorAll("section")) {
    const all = [...group.querySelectorAll("details")];
    for (const one of all) one.hidden = !words.every((word) => one.dataset.words.includes(word));
    group.hidden = all.every((one) => one.hidden);
  }
}

// An address that ends in #list_tenants opens that route.
function open() {
  const asked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (asked instanceof HTMLDetailsElement) {
    asked.open = true;
    asked.scrollIntoView();
  }
}

async function begin() {
  document.getElementById("filter").addEventListener("input", filter);
  try {
    const got = await fetch("/openapi.json");
    if (!got.ok) throw new Error(`status ${got.status}`);
    show(await got.json());
    addEventListener("hashchange", open);
    open();
  } catch (error) {
    document.getElementById("about").textContent = `/openapi.json could not be read: ${error.message}`;
  }
}

begin();
