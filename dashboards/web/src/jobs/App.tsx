import { effect, untracked } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Banner } from "./Banner";
import { Dialogs } from "./Dialogs";
import { DropTarget } from "./DropTarget";
import { Header } from "./Header";
import { JobList } from "./JobList";
import { follow } from "./listing";
import { NewJob } from "./NewJob";
import { refreshAccount } from "./session";
import { SignIn } from "./SignIn";
import { account, announcement, key, readOnly, trouble } from "./state";
import { thumbnails } from "./Thumbnail";
import { followConnection, uploader } from "./uploading";
import { Uploads } from "./Uploads";

export function App() {
  useEffect(followAll, []);
  const signedIn = key.value !== null;
  return (
    <>
      {signedIn && (
        <a class="skip" href="#jobs-heading">
          Skip to the jobs
        </a>
      )}
      <Header />
      <main>
        <Banner />
        {!signedIn && <SignIn />}
        {signedIn && (
          <div class="columns">
            <div class="column">
              {!readOnly.value && <NewJob />}
              <Uploads />
            </div>
            <JobList />
          </div>
        )}
      </main>
      <footer>
        <a href="/docs">API documentation</a>
      </footer>
      <Dialogs />
      <DropTarget />
      <div class="visually-hidden" role="status">
        {announcement.value}
      </div>
    </>
  );
}

/** Everything that goes on beside drawing. Returns what ends it. */
function followAll(): () => void {
  const ends = [follow(), followConnection(), effect(onKey), effect(onRecovery)];
  return () => ends.forEach((end) => end());
}

function onKey(): void {
  if (key.value === null) return;
  untracked(() => {
    thumbnails.clear();
    uploader.keyChanged();
    if (account.value === null) void refreshAccount();
  });
}

let away = false;

/** The service is back: uploads that wait for it go on at once. */
function onRecovery(): void {
  if (away && trouble.value === null) untracked(() => uploader.wake());
  away = trouble.value !== null;
}
