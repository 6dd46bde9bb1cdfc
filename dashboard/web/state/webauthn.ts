// Passkeys: what the server asks and the browser answers, in the form that goes over the wire.

import { post } from "../api/client.ts";
import { t } from "../i18n/index.svelte.ts";

interface Question {
  question: string;
  options: { publicKey: unknown };
}

export const passkeysPossible = typeof PublicKeyCredential !== "undefined";

const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const textOf = (bytes: ArrayBuffer | null): string | undefined =>
  bytes
    ? btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""))
        .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")
    : undefined;

interface Described {
  id: string;
  [more: string]: unknown;
}

const credentialOf = (described: Described) => ({ ...described, id: bytesOf(described.id) });

/** What the browser gives. Who says no to its question is told so in words. */
async function given(asked: Promise<Credential | null>): Promise<PublicKeyCredential> {
  const credential = await asked.catch(() => null);
  if (!credential) throw new Error(t("sign-in.passkey.none"));
  return credential as PublicKeyCredential;
}

/** Asks for a passkey at this door; gives what proves it. */
export async function provePasskey(path: string, body?: unknown): Promise<{ question: string; answer: unknown }> {
  const { question, options } = await post<Question>(path, body, { open: true });
  const asked = options.publicKey as { challenge: string; allowCredentials?: Described[] };
  const publicKey = {
    ...asked,
    challenge: bytesOf(asked.challenge),
    allowCredentials: asked.allowCredentials?.map(credentialOf),
  } as PublicKeyCredentialRequestOptions;
  const passkey = await given(navigator.credentials.get({ publicKey }));
  const response = passkey.response as AuthenticatorAssertionResponse;
  return {
    question,
    answer: {
      id: passkey.id,
      rawId: textOf(passkey.rawId),
      type: passkey.type,
      extensions: passkey.getClientExtensionResults(),
      response: {
        authenticatorData: textOf(response.authenticatorData),
        clientDataJSON: textOf(response.clientDataJSON),
        signature: textOf(response.signature),
        userHandle: textOf(response.userHandle) ?? null,
      },
    },
  };
}

/** Has the browser make a passkey; gives what is to be kept of it. */
export async function makePasskey(): Promise<{ question: string; answer: unknown }> {
  const { question, options } = await post<Question>("/auth/passkeys/question");
  const asked = options.publicKey as { challenge: string; user: Described; excludeCredentials?: Described[] };
  const publicKey = {
    ...asked,
    challenge: bytesOf(asked.challenge),
    user: credentialOf(asked.user),
    excludeCredentials: asked.excludeCredentials?.map(credentialOf),
  } as unknown as PublicKeyCredentialCreationOptions;
  const made = await given(navigator.credentials.create({ publicKey }));
  const response = made.response as AuthenticatorAttestationResponse;
  return {
    question,
    answer: {
      id: made.id,
      rawId: textOf(made.rawId),
      type: made.type,
      extensions: made.getClientExtensionResults(),
      response: {
        attestationObject: textOf(response.attestationObject),
        clientDataJSON: textOf(response.clientDataJSON),
        transports: response.getTransports?.() ?? [],
      },
    },
  };
}
