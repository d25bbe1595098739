import type { Client } from "@colyseus/sdk";

/** Refreshes the login that the tabs of a page share: one tab at a time, by the newest token that any of them has stored. */
export async function refresh(client: Client): Promise<void> {
  await navigator.locks.request("login", async () => {
    const stored = localStorage.getItem(client.auth.settings.key);
    if (stored !== null) client.auth.token = stored;
    await client.auth.signInAnonymously();
  });
}
