import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { signIn } from "./session";
import { jobs, signInSentence } from "./state";

export function SignIn() {
  const input = useRef<HTMLInputElement>(null);
  const shown = useSignal(false);
  const waiting = useSignal(false);
  useLayoutEffect(() => input.current?.focus(), []);
  const onSubmit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (waiting.value) return;
    waiting.value = true;
    const done = await signIn(input.current!.value);
    waiting.value = false;
    if (done) setTimeout(() => document.getElementById("jobs-heading")?.focus());
    else input.current?.focus();
  };
  const sentence = signInSentence.value;
  return (
    <section class="card sign-in" aria-labelledby="sign-in-heading">
      <h2 id="sign-in-heading">{jobs.value === null ? "Sign in" : "Sign in again"}</h2>
      <form onSubmit={onSubmit}>
        <label for="api-key">API key</label>
        <div class="row">
          <input
            ref={input}
            id="api-key"
            type={(shown.value ? "text" : "password") as "password"}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            aria-describedby="api-key-help api-key-error"
            aria-invalid={sentence !== null}
          />
          <button
            type="button"
            aria-pressed={shown.value}
            aria-controls="api-key"
            onClick={() => (shown.value = !shown.value)}
          >
            {shown.value ? "Hide" : "Show"}
            <span class="visually-hidden"> the key</span>
          </button>
        </div>
        <p id="api-key-error" class="error" role="alert">
          {sentence}
        </p>
        <button class="primary" type="submit" aria-disabled={waiting.value}>
          {waiting.value ? "Checking…" : "Sign in"}
        </button>
        <p id="api-key-help" class="help">
          <code>make up</code> and <code>splatflow keys create --name N</code> print one. It stays in this tab
          until you sign out or close it.
        </p>
      </form>
    </section>
  );
}
