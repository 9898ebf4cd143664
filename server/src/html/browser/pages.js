/**
 * Passkeys on our pages: the one thing that needs a script. Everything else
 * works without it.
 *
 * `data-passkey` on an element says what its button does. What goes wrong is
 * said in the element's notice.
 */

const authService = "/vestibule.v1.AuthService/";

/** How long before its flow ends an offer in the address field is made anew. */
const offerMs = 8 * 60 * 1000;

class Refusal extends Error {
  /** @param {{ code?: string, message?: string, details?: { debug?: { reason?: string } }[] }} answer */
  constructor({ code = "", message = "", details = [] }) {
    super(message);
    this.code = code;
    this.reason = details.find(({ debug }) => debug?.reason)?.debug.reason;
  }
}

/** Calls the server as any client would (Connect protocol, unary JSON). */
async function call(method, message) {
  const response = await fetch(authService + method, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-protocol-version": "1" },
    body: JSON.stringify(message),
  }).catch(() => {
    throw new Refusal({ code: "unreachable" });
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(answer);
  return { answer, location: response.headers.get("location") };
}

const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) =>
    character.charCodeAt(0),
  );

const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

const toDescriptors = (list = []) => list.map((one) => ({ ...one, id: toBytes(one.id) }));

function toCreationOptions(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) {
    return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  }
  return {
    ...json,
    challenge: toBytes(json.challenge),
    user: { ...json.user, id: toBytes(json.user.id) },
    excludeCredentials: toDescriptors(json.excludeCredentials),
  };
}

function toRequestOptions(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) {
    return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  }
  return {
    ...json,
    challenge: toBytes(json.challenge),
    allowCredentials: toDescriptors(json.allowCredentials),
  };
}

function toJson(credential) {
  if (credential.toJSON) return credential.toJSON();
  const { id, rawId, type, response, authenticatorAttachment } = credential;
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const present = parts.filter((name) => response[name]);
  return {
    id,
    rawId: toText(rawId),
    type,
    authenticatorAttachment: authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      ...Object.fromEntries(present.map((name) => [name, toText(response[name])])),
      ...(response.getTransports && { transports: response.getTransports() }),
    },
  };
}

async function begin(about = {}) {
  const { answer } = await call("Authenticate", { strategyName: "passkey", ...about });
  const { options, type } = answer.stateOptions;
  return { state: answer.state, options, type };
}

async function finish(state, credential) {
  const options = JSON.stringify(toJson(credential));
  return await call("AuthCallback", { strategyName: "passkey", state, stateOptions: { options } });
}

const messages = {
  NotAllowedError:
    "Nothing was done: it was cancelled, took too long, or there is no passkey for this site on this device.",
  InvalidStateError: "There is a passkey for this account on this device already.",
  SecurityError: "Passkeys do not work under this address. Open the site under its usual one.",
  TOO_MANY_FLOWS: "Too many sign-ins were begun from your network. Wait a minute, then try again.",
  resource_exhausted: "You have as many passkeys as there may be. Remove one first.",
  unreachable: "This site cannot be reached at the moment. Check your connection, then try again.",
  unavailable: "That cannot be done at the moment. Try again in a few minutes.",
  permission_denied: "This account is disabled. Ask whoever runs this site.",
  invalid_argument: "That passkey is not known here, or it took too long. Try again, or sign in another way.",
};

/** What to say of an error; nothing when we ended it ourselves. */
function toMessage(error) {
  if (error.name === "AbortError") return "";
  const key = error instanceof Refusal ? error.code : error.name;
  return messages[error.reason] ?? messages[key] ?? "That did not work. Try again, or sign in another way.";
}

function say(part, text) {
  const notice = part.querySelector(".notice");
  notice.textContent = text;
  notice.hidden = text === "";
}

/** Runs what a button does, once at a time. */
function onClick(part, work) {
  const button = part.querySelector("button");
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    say(part, "");
    try {
      await work();
    } catch (error) {
      say(part, toMessage(error));
    } finally {
      button.ariaBusy = "false";
    }
  });
  part.hidden = false;
}

function setUpSignIn(part) {
  const { returnTo } = part.dataset;
  let offer = new AbortController();
  let renewal = 0;

  async function signIn(mediation) {
    offer.abort();
    clearTimeout(renewal);
    offer = new AbortController();
    const { signal } = offer;
    // Whoever is asked to sign in again has a session, in which a passkey would be added.
    const { state, options } = await begin({ returnTo, reauthenticate: true });
    if (mediation === "conditional") renewal = setTimeout(offerInField, offerMs);
    const publicKey = toRequestOptions(options);
    const credential = await navigator.credentials.get({
      publicKey,
      signal,
      ...(mediation && { mediation }),
    });
    clearTimeout(renewal);
    const { location: target } = await finish(state, credential);
    location.assign(target ?? "/account");
  }

  /** Lets the browser offer passkeys in the address field, for as long as the page is open. */
  function offerInField() {
    signIn("conditional").catch((error) => {
      // Refused by the server: worth a word. Anything else is the browser's business.
      if (error instanceof Refusal && error.code === "invalid_argument") say(part, toMessage(error));
    });
  }

  onClick(part, () =>
    signIn().catch((error) => {
      canOffer.then((can) => can && offerInField());
      throw error;
    }),
  );
  const canOffer = Promise.resolve(PublicKeyCredential.isConditionalMediationAvailable?.()).catch(
    () => false,
  );
  canOffer.then((can) => can && document.querySelector('[autocomplete~="webauthn"]') && offerInField());
}

function setUpRegistration(part) {
  const again = part.querySelector(".again");
  onClick(part, async () => {
    try {
      const { state, options, type } = await begin();
      if (type !== "register") return location.assign("/login");
      const credential = await navigator.credentials.create({ publicKey: toCreationOptions(options) });
      await finish(state, credential);
      location.assign("/account?done=added");
    } catch (error) {
      if (error.code !== "failed_precondition") throw error;
      part.querySelector("button").hidden = true;
      again.hidden = false;
      again.querySelector("a").focus();
    }
  });
}

if (globalThis.PublicKeyCredential) {
  for (const part of document.querySelectorAll('[data-passkey="sign-in"]')) setUpSignIn(part);
  for (const part of document.querySelectorAll('[data-passkey="register"]')) setUpRegistration(part);
} else {
  for (const part of document.querySelectorAll('[data-passkey="missing"]')) part.hidden = false;
}
