import type { ComponentChildren } from "preact";

/** A page that says one thing. */
export function Message({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <main class="message">
      <div class="card">
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}
