/**
 * A page that signs people in by whatever the server offers. Its own address
 * is the callback of identity providers.
 */
import {
  type CodeEntry,
  createVestibuleWeb,
  findReason,
  type Passkey,
  type SessionChange,
  SignInError,
} from "@vestibule/web";

const page = new URL("/", location.href).href;
const vestibule = createVestibuleWeb({
  baseUrl: document.documentElement.dataset.server || location.origin,
  callbackUrl: page,
});

function find<E extends HTMLElement = HTMLElement>(selector: string): E {
  const found = document.querySelector<E>(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return found;
}

function say(text: string, selector = '[role="status"]'): void {
  find('[role="alert"]').textContent = "";
  find(selector).textContent = text;
}

/** Texts for what a person can do something about. */
const advice: Record<string, string> = {
  INVALID_OTP: "That is not the code in the mail.",
  INVALID_FLOW: "That took too long. Please begin again.",
  INVALID_AUTH_STATE: "Please go on in the browser where you began.",
  REAUTH_REQUIRED: "Please sign in again first.",
  passkey_canceled: "No passkey was used.",
};

/** Does what an element is for, and says what went wrong; what went wrong before is old by then. */
function on(selector: string, type: "click" | "submit", act: (event: SubmitEvent) => Promise<void>): void {
  find(selector).addEventListener(type, (event) => {
    event.preventDefault();
    find('[role="alert"]').textContent = "";
    act(event as SubmitEvent).catch(complain);
  });
}

function complain(error: unknown): void {
  const reason = error instanceof SignInError ? error.reason : findReason(error);
  say(advice[reason ?? ""] ?? (error instanceof Error ? error.message : String(error)), '[role="alert"]');
}

function read(event: SubmitEvent, name: string): string {
  return String(new FormData(event.target as HTMLFormElement).get(name));
}

// Signed out

let entry: CodeEntry | undefined;

function askForCode(asked: CodeEntry): void {
  entry = asked;
  find("#code").hidden = false;
  find<HTMLInputElement>("[name=code]").focus();
  say(`A mail is on its way to ${asked.email}.`);
}

on("#mail", "submit", async (event) => {
  const email = read(event, "email");
  const isLink = (event.submitter as HTMLButtonElement).value === "link";
  askForCode(await (isLink ? vestibule.sendMailLink(email) : vestibule.beginMailOtp(email)));
});

on("#code", "submit", async (event) => {
  await entry?.finish(read(event, "code"));
});

on("#passkey", "click", async () => {
  await vestibule.signInWithPasskey();
});

async function offerStrategies(): Promise<void> {
  const { strategies } = await vestibule.auth.listAuthStrategies({});
  const others = strategies
    .map(({ name }) => name)
    .filter((name) => !/^(mailotp|maillink|passkey)$/.test(name));
  find("#providers").replaceChildren(...others.map(toProviderButton));
  await vestibule.signInWithPasskey({ conditional: true });
}

function toProviderButton(name: string): HTMLButtonElement {
  const button = document.createElement("button");
  button.textContent = `Sign in with ${name}`;
  button.onclick = () => {
    const email = find<HTMLInputElement>("[name=email]").value;
    vestibule.signInWithProvider(name, { email, returnTo: page }).catch(complain);
  };
  return button;
}

// Signed in

async function showPasskeys(): Promise<void> {
  const passkeys = await vestibule.passkeys.list();
  find("#passkeys").replaceChildren(...passkeys.map(toItem));
}

function toItem({ id, name }: Passkey): HTMLLIElement {
  const item = document.createElement("li");
  const remove = document.createElement("button");
  remove.textContent = `Remove ${name}`;
  remove.onclick = () => {
    vestibule.passkeys.remove(id).then(showPasskeys).catch(complain);
  };
  item.append(name, " ", remove);
  return item;
}

on("#add", "submit", async (event) => {
  const { name } = await vestibule.addPasskey(read(event, "name"));
  say(`Added ${name}.`);
  await showPasskeys();
});

on("#token", "click", async () => {
  // An API of yours would verify the token; this one is Vestibule's own, asked without its cookie.
  const response = await fetch(
    `${document.documentElement.dataset.server}/vestibule.v1.AuthService/GetCurrentUser`,
    {
      method: "POST",
      credentials: "omit",
      headers: {
        authorization: `Bearer ${await vestibule.getAccessToken()}`,
        "content-type": "application/json",
      },
      body: "{}",
    },
  );
  find("#answer").textContent = (await response.json()).user.email;
});

on("#out", "click", () => vestibule.signOut());

on("#everywhere", "click", async () => {
  await vestibule.signOutEverywhere();
});

// Both

const texts: Partial<Record<SessionChange["event"], string>> = {
  signed_in: "",
  signed_out: "Signed out.",
  expired: "Your session has expired.",
  ended: "Your session was ended.",
};

vestibule.session.onChange(({ event, current }) => {
  find("#sign-in").hidden = current !== undefined;
  find("#account").hidden = current === undefined;
  find("#code").hidden = true;
  const text = texts[event];
  if (text !== undefined) say(text);
  if (current === undefined) return void offerStrategies().catch(complain);
  find("#who").textContent = current.user.email;
  find("#until").textContent = current.expiresAt.toLocaleString();
  showPasskeys().catch(complain);
});

const result = await vestibule.handleCallback().catch(complain);
if (result?.kind !== "signed_in") await vestibule.session.refresh().catch(complain);
if (result?.kind === "link_required") askForCode(result.entry);
if (result?.kind === "denied") say("You did not sign in.", '[role="alert"]');
