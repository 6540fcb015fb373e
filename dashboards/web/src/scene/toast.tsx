import { toast } from "./state";

export function Toast() {
  const now = toast.value;
  return (
    <div class="toasts" role="status" aria-live="polite">
      {now && <p class={now.bad ? "toast bad" : "toast"}>{now.text}</p>}
    </div>
  );
}
