import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { JobDetail } from "../common/api";
import { look } from "./session";
import { Thumbnails } from "./thumbnails";

export const thumbnails = new Thumbnails(async (jobId) => {
  const answer = await look<{ url: string | null }>(`jobs/${jobId}/preview/?redirect=false`);
  return answer.url;
});

const callbacks = new WeakMap<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | null = null;

function observe(element: Element, callback: (visible: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => entries.forEach((entry) => callbacks.get(entry.target)?.(entry.isIntersecting)),
    { rootMargin: "200px" },
  );
  callbacks.set(element, callback);
  observer.observe(element);
  return () => observer?.unobserve(element);
}

/** A job's latest picture, once it is in view and there is one. It says nothing that the title beside it doesn't. */
export function Thumbnail(props: { job: JobDetail }) {
  const { job } = props;
  const place = useRef<HTMLDivElement>(null);
  const visible = useSignal(false);
  const inView = visible.value;
  useLayoutEffect(() => thumbnails.open(job.job_id), [job.job_id]);
  useEffect(() => observe(place.current!, (now) => (visible.value = now)), []);
  useEffect(() => {
    if (inView) void thumbnails.show(job);
  });
  const url = thumbnails.url(job.job_id).value;
  return (
    <div ref={place} class="thumbnail">
      {url !== null && (
        <img src={url} alt="" decoding="async" onError={() => thumbnails.broken(job.job_id)} />
      )}
    </div>
  );
}
