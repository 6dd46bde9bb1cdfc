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
  return own.concat(parts.flatMap((part) => fieldsOf(api, part, seen)));
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

function operation(api, method, path, said) {
  const made = element("details");
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), "method"), element("code", path));
  summary.append(element("span", said.summary ?? "", "says"));
  made.append(summary);
  if (said.description) made.append(element("p", said.description));
  const parameters = (said.parameters ?? []).map((parameter) => [
    parameter.name,
    `${typeOf(parameter.schema)} (${parameter.in})`,
    parameter.description ?? "",
  ]);
  made.append(...section("Parameters", parameters));
  const body = bodyOf(said.requestBody);
  if (body) made.append(...section(`Body: ${typeOf(body)}`, fieldsOf(api, body)));
  for (const [status, answer] of Object.entries(said.responses ?? {})) {
    const schema = bodyOf(answer);
    const title = status === "default" ? "Refused" : `Answer ${status}`;
    made.append(element("h3", `${title}: ${typeOf(schema) || answer.description || "no body"}`));
    if (status !== "default") made.append(list(fieldsOf(api, schema)));
  }
  made.dataset.words = `${method} ${path} ${said.summary ?? ""} ${said.description ?? ""}`.toLowerCase();
  return made;
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
    group.append(element("h2", tag), ...operations);
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

async function begin() {
  document.getElementById("filter").addEventListener("input", filter);
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    document.getElementById("about").textContent = `/openapi.json could not be read: ${error.message}`;
  }
}

begin();
