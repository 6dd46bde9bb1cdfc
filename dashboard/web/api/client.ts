// Requests to the API: JSON both ways, problems as errors, what a page of ours must say with every change.

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

/** The server cannot be reached, or something between answers in its place. */
export const UNREACHABLE = "unreachable";

let csrf = "";
let onSignedOut: () => void = () => {};
let onStepUp: () => Promise<boolean> = () => Promise.resolve(false);

/** What is repeated with every change in this session. */
export function setCsrf(token: string): void {
  csrf = token;
}

/** What happens when the session is over, and when a proof anew is needed: it says whether one was given. */
export function whenRefused(signedOut: () => void, stepUp: () => Promise<boolean>): void {
  onSignedOut = signedOut;
  onStepUp = stepUp;
}

export interface Options {
  /** Sent as JSON, or as it is where it is a file. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Makes a repeated request one. */
  once?: string;
  signal?: AbortSignal;
  /** Whether a 401 is an answer like others: at the doors of those who have no session. */
  open?: boolean;
}

/** A key that makes a request one, however often it is sent. */
export function freshKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function problem(response: Response): Promise<ApiError> {
  let said: { code?: string; title?: string; detail?: string } = {};
  try {
    said = await response.json();
  } catch {
    // Something between answered that speaks no JSON.
  }
  const code = said.code ?? (response.status >= 502 ? UNREACHABLE : "unknown");
  return new ApiError(response.status, code, said.title ?? response.statusText, said.detail ?? "");
}

async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  let body: BodyInit | undefined;
  if (options.body instanceof Blob) body = options.body;
  else if (options.body !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(options.body);
  }
  if (method !== "GET" && csrf) headers["x-csrf-token"] = csrf;
  if (options.once) headers["idempotency-key"] = options.once;
  try {
    return await fetch(`/v1${path}`, { method, headers, body, signal: options.signal, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, UNREACHABLE, "", "");
  }
}

/** Sends a request, with a proof anew where one is needed; gives the answer, if it is a good one. */
async function answered(method: string, path: string, options: Options): Promise<Response> {
  let response = await send(method, path, options);
  if (response.ok) return response;
  let refused = await problem(response);
  if (refused.code === "step_up_needed" && (await onStepUp())) {
    response = await send(method, path, options);
    if (response.ok) return response;
    refused = await problem(response);
  }
  if (refused.status === 401 && !options.open) onSignedOut();
  throw refused;
}

/** Sends a request; gives what is answered and its headers. */
export async function call<T>(method: string, path: string, options: Options = {}): Promise<{ data: T; headers: Headers }> {
  const response = await answered(method, path, options);
  const data = (response.status === 204 ? undefined : await response.json().catch(() => undefined)) as T;
  return { data, headers: response.headers };
}

/** Sends a request and has the browser keep what is answered as a file of this name. */
export async function keep(method: string, path: string, name: string, options: Options = {}): Promise<void> {
  const response = await answered(method, path, { ...options, headers: { accept: "*/*", ...options.headers } });
  const address = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export async function get<T>(path: string, options?: Options): Promise<T> {
  return (await call<T>("GET", path, options)).data;
}

export async function post<T>(path: string, body?: unknown, options?: Options): Promise<T> {
  return (await call<T>("POST", path, { ...options, body })).data;
}

export async function put<T>(path: string, body: unknown, options?: Options): Promise<T> {
  return (await call<T>("PUT", path, { ...options, body })).data;
}

export async function remove<T>(path: string, options?: Options): Promise<T> {
  return (await call<T>("DELETE", path, options)).data;
}

/** All items of a list, page by page, at most `max`. */
export async function all<T>(path: string, max = 2_000): Promise<T[]> {
  const items: T[] = [];
  let cursor = "";
  while (items.length < max) {
    const mark = path.includes("?") ? "&" : "?";
    const page = await get<{ items: T[]; next?: string | null }>(`${path}${mark}limit=200${cursor && `&cursor=${cursor}`}`);
    items.push(...page.items);
    if (!page.next) break;
    cursor = encodeURIComponent(page.next);
  }
  return items;
}
