import { useEffect } from "preact/hooks";
import { count } from "../common/format";
import { JobCard } from "./JobCard";
import { turnTo } from "./listing";
import { filter, FILTERS, jobs, page, PAGE_SIZE, pages, total, trouble, type Filter } from "./state";
import { thumbnails } from "./Thumbnail";

const NAMES: Record<Filter, string> = {
  all: "All",
  queued: "Queued",
  processing: "At work",
  finished: "Finished",
  failed: "Failed",
};

export function JobList() {
  const list = jobs.value;
  useEffect(() => thumbnails.keep(new Set(list?.map((job) => job.job_id))), [list]);
  return (
    <section class="list" aria-labelledby="jobs-heading">
      <div class="list-head">
        <h2 id="jobs-heading" tabIndex={-1}>
          Jobs
        </h2>
        <div class="field-inline">
          <label for="filter">Show</label>
          <select
            id="filter"
            value={filter.value}
            onChange={(event) => turnTo({ filter: event.currentTarget.value as Filter })}
          >
            {FILTERS.map((name) => (
              <option key={name} value={name}>
                {NAMES[name]}
              </option>
            ))}
          </select>
        </div>
      </div>
      {list === null ? (
        <p class="empty">{trouble.value === null ? "Looking…" : "The list isn't there yet."}</p>
      ) : list.length === 0 ? (
        <p class="empty">{emptyText()}</p>
      ) : (
        <ul class="jobs" role="list">
          {list.map((job) => (
            <JobCard key={job.job_id} job={job} />
          ))}
        </ul>
      )}
      {list !== null && total.value > PAGE_SIZE && <Pager />}
    </section>
  );
}

function emptyText(): string {
  if (filter.value === "all") return "No jobs yet. Drop a video on this page to make the first one.";
  return `No jobs here: “${NAMES[filter.value]}” fits none just now.`;
}

function Pager() {
  const [now, last] = [page.value, pages.value];
  const from = (now - 1) * PAGE_SIZE + 1;
  const go = (to: number) => {
    turnTo({ page: Math.min(last, Math.max(1, to)) });
    document.getElementById("jobs-heading")?.focus();
  };
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    const input = (event.currentTarget as HTMLFormElement).querySelector("input")!;
    const wanted = Number(input.value);
    if (Number.isInteger(wanted)) go(wanted);
    input.value = String(page.value);
  };
  return (
    <nav class="pager" aria-label="Pages of the list">
      <button type="button" aria-disabled={now <= 1} onClick={() => now > 1 && go(now - 1)}>
        Newer
      </button>
      <p>
        {count(from)} to {count(Math.min(total.value, now * PAGE_SIZE))} of {count(total.value)}
      </p>
      <form onSubmit={onSubmit}>
        <label for="page">Page</label>
        <input id="page" inputMode="numeric" autocomplete="off" key={now} defaultValue={String(now)} />
        <span>of {count(last)}</span>
        <button type="submit">Go</button>
      </form>
      <button type="button" aria-disabled={now >= last} onClick={() => now < last && go(now + 1)}>
        Older
      </button>
    </nav>
  );
}
