import { poller } from "./listing";
import { signOut } from "./session";
import { key, readOnly, trouble } from "./state";

/** Calm words about what doesn't work just now. */
export function Banner() {
  if (key.value === null) return null;
  return (
    <div role="status">
      {trouble.value !== null && <Away />}
      {readOnly.value && (
        <p class="banner">
          This key may only look: it can't start or change jobs.{" "}
          <button
            type="button"
            onClick={() => signOut("Enter a key that may write; nothing that you typed is lost.")}
          >
            Use another key
          </button>
        </p>
      )}
    </div>
  );
}

function Away() {
  const { error, failures, lastGood } = trouble.value!;
  // A single question that got no answer is nothing to speak of.
  if (failures < 2 && lastGood !== null) return null;
  const what =
    error.status === 429
      ? "The service asks for a pause."
      : error.status === 0
        ? "The service can't be reached just now."
        : "The service has trouble just now.";
  const since = lastGood === null ? "" : ` The list is as it was at ${lastGood.toLocaleTimeString()}.`;
  return (
    <p class="banner">
      {what}
      {since} The page tries again by itself.{" "}
      <button type="button" onClick={() => poller.now()}>
        Try now
      </button>
    </p>
  );
}
