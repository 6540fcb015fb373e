/** The API key, for as long as the tab lives. Never in a URL, never in a cookie, never kept on the disk by us. */

const NAME = "splatflow-key";

export function storedKey(): string | null {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    return null; // storage is switched off, or this is a frame of another site
  }
}

export function storeKey(key: string | null): void {
  try {
    if (key === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, key);
  } catch {
    // The key is then asked for again on the next page.
  }
}
