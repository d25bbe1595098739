// Which web pages may speak to the cluster. A browser sends with each request, and with each WebSocket, what page it is for;
// whoever is no browser sends nothing and is not meant here, because they can claim anything anyway.
//
// What this protects are players' cookies and the like: a foreign page must not act in a player's name. So a foreign page is
// refused, or, where ALLOWED_ORIGINS has `*`, let in without them: what it sends carries no credentials, and no answer says
// that a browser may send some.

export type Verdict =
  /** No browser. */
  | "none"
  /** May act in the player's name. */
  | "allowed"
  /** May speak, in nobody's name. */
  | "stranger"
  | "refused";

const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]"]);
const ORIGIN_LENGTH_MAX = 512;

export class AllowedOrigins {
  readonly #isAny: boolean;
  readonly #isSameHost: boolean;
  readonly #isLocalhost: boolean;
  readonly #exact = new Set<string>();
  /** `https://*.example.com` as its two ends. */
  readonly #patterns: { readonly start: string; readonly end: string }[] = [];

  /** @throws Error that names the entry that is none */
  constructor(text: string) {
    const entries = text.split(",").map((part) => part.trim().toLowerCase());
    this.#isAny = entries.includes("*");
    this.#isSameHost = entries.includes("same-host");
    this.#isLocalhost = entries.includes("localhost");
    for (const entry of entries) {
      if (["", "*", "same-host", "localhost"].includes(entry)) continue;
      const [start = "", end, ...more] = entry.split("*");
      if (entry === "null" || (end === undefined && URL.parse(entry)?.origin === entry))
        this.#exact.add(entry);
      else if (
        /^https?:\/\/$/u.test(start) &&
        /^\.[a-z0-9.-]+(?::\d+)?$/u.test(end ?? "") &&
        more.length === 0
      ) {
        this.#patterns.push({ start, end: end ?? "" });
      } else {
        throw new Error(
          `${entry} is no origin like https://play.example.com or https://*.example.com, nor same-host, localhost, null or *`,
        );
      }
    }
  }

  /** @param host what the request was sent to, as its Host header says */
  judge(origin: string | undefined, host: string | undefined): Verdict {
    if (origin === undefined) return "none";
    if (this.#isListed(origin, host)) return "allowed";
    return this.#isAny ? "stranger" : "refused";
  }

  #isListed(given: string, host: string | undefined): boolean {
    if (given.length > ORIGIN_LENGTH_MAX) return false;
    const origin = given.toLowerCase();
    if (this.#exact.has(origin)) return true;
    const url = URL.parse(origin);
    if (url === null || url.origin !== origin) return false; // `null` among others
    const target = host === undefined ? null : URL.parse(`${url.protocol}//${host}`);
    if (this.#isSameHost && target?.host === url.host) return true;
    // A page from another port of this machine, as a bundler's own server has, and for a cluster on this machine only.
    if (this.#isLocalhost && LOCAL_HOSTS.has(url.hostname) && LOCAL_HOSTS.has(target?.hostname ?? ""))
      return true;
    return this.#patterns.some(
      ({ start, end }) =>
        origin.startsWith(start) && origin.endsWith(end) && origin.length > start.length + end.length,
    );
  }
}

/** What an answer says to a browser: to whom it may be shown. Without a word about credentials, none may be sent. */
export function corsHeaders(origin: string | undefined, verdict: Verdict): Record<string, string> {
  if (origin === undefined || verdict === "refused") return { vary: "Origin" };
  if (verdict !== "allowed") return { vary: "Origin", "access-control-allow-origin": "*" };
  return {
    vary: "Origin",
    "access-control-allow-origin": origin,
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "Retry-After",
  };
}
