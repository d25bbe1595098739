// Where a request comes from: one address, derived once, that everything else goes by (limits, tokens that were guessed, what
// a room's onAuth is told as `context.ip`).
//
// Anybody can write a forwarded header. It is believed only from a proxy that the operator has named (TRUSTED_PROXIES), and
// read from its right end, where that proxy wrote: the first address from there that is no such proxy is the client's. From
// anybody else forwarded headers are taken out, and neither Colyseus nor the game ever sees them.

import { BlockList, isIP, isIPv4, type Socket } from "node:net";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

/** A chain of proxies longer than this is somebody's invention. */
const HOPS_MAX = 32;
/** Where Colyseus looks first. */
const ADDRESS_HEADER = "x-real-ip";
/** What proxies say of a request, beside the address. */
const SAID_BY_PROXIES = ["x-forwarded-proto", "x-forwarded-host"] as const;
const OTHER_NAMES = /^(?:x-forwarded-.*|forwarded|x-client-ip|x-real-ip|true-client-ip|cf-connecting-ip)$/u;
/** A host name or address with an optional port, as it may stand in a URL. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/u;

/** @returns whether it can stand in a URL; Colyseus makes one of it and does not look */
export function isHost(text: string): boolean {
  return HOST.test(text) && URL.parse(`http://${text}`) !== null;
}

/** The proxies whose word counts. */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** @throws Error that names the entry that is none */
  constructor(text: string) {
    for (const entry of text.split(",").map((part) => part.trim())) {
      if (entry === "") continue;
      const [address = "", bits, ...more] = entry.split("/");
      const family = isIP(address) === 4 ? "ipv4" : "ipv6";
      const bitsMax = family === "ipv4" ? 32 : 128;
      const prefix = bits === undefined ? bitsMax : /^\d{1,3}$/u.test(bits) ? Number(bits) : -1;
      if (isIP(address) === 0 || prefix < 0 || prefix > bitsMax || more.length > 0) {
        throw new Error(`${entry} is neither an address nor a range like 10.0.0.0/8`);
      }
      this.#list.addSubnet(address, prefix, family);
    }
  }

  trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? "ipv4" : "ipv6");
  }

  /** Who has sent a request that came from `remoteAddress` with these headers. */
  clientOf(remoteAddress: string, headers: IncomingHttpHeaders): string {
    let address = plain(remoteAddress);
    if (!this.trusts(address)) return address;
    const hops = String(headers["x-forwarded-for"] ?? headers[ADDRESS_HEADER] ?? "").split(",");
    for (const hop of hops.slice(-HOPS_MAX).toReversed()) {
      const next = plain(withoutPort(hop.trim()));
      if (isIP(next) === 0) break; // what the last proxy that is trusted has not written itself
      address = next;
      if (!this.trusts(address)) break;
    }
    return address;
  }
}

const addresses = new WeakMap<IncomingMessage, string>();

/**
 * Derives the client's address and leaves in the headers only what may be believed.
 *
 * @returns the address of what seems to be a proxy of ours, which nobody has named; undefined otherwise
 */
export function settleAddress(request: IncomingMessage, proxies: TrustedProxies): string | undefined {
  const { headers, socket } = request;
  const remoteAddress = remoteAddressOf(socket);
  const address = proxies.clientOf(remoteAddress, headers);
  addresses.set(request, address);
  const isBelieved = proxies.trusts(remoteAddress);
  const isForgotten = !isBelieved && headers["x-forwarded-for"] !== undefined && isPrivate(remoteAddress);
  const said = SAID_BY_PROXIES.map((name) => [name, headers[name]] as const);
  for (const name of Object.keys(headers)) if (OTHER_NAMES.test(name)) delete headers[name];
  headers[ADDRESS_HEADER] = address;
  if (!isBelieved) return isForgotten ? remoteAddress : undefined;
  headers["x-forwarded-for"] = address;
  for (const [name, value] of said) {
    const isSound =
      name === "x-forwarded-proto" ? value === "http" || value === "https" : isHost(String(value));
    if (typeof value === "string" && isSound) headers[name] = value;
  }
  return undefined;
}

/** The address of a request that the front door has let in. */
export function addressOf(request: IncomingMessage): string {
  return addresses.get(request) ?? remoteAddressOf(request.socket);
}

/** Who is at the other end of a connection: a player, or a proxy. */
export function remoteAddressOf({ remoteAddress = "" }: Pick<Socket, "remoteAddress">): string {
  return plain(remoteAddress);
}

/**
 * Whether an address says nothing of who is there: this machine itself, which is the developer's own, or a proxy on it that
 * was not named. A limit by such an address would be one for everybody.
 */
export function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

/** Of a network of one's own, where players do not come from but proxies do. */
function isPrivate(address: string): boolean {
  return /^(?:10\.|127\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|::1$|f[cd][0-9a-f]{2}:)/u.test(address);
}

/** What is counted as one: an IPv4 address, or the network that a subscriber is given of IPv6. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail = ""] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const all = [
    ...left,
    ...Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0"),
    ...right,
  ];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/u, ""))
    .join(":")}::/64`;
}

/** IPv4 is IPv4, also on a socket that takes both. */
function plain(address: string): string {
  const lower = address.toLowerCase().replace(/%.*$/u, "");
  const inside = lower.startsWith("::ffff:") ? lower.slice(7) : lower;
  return isIPv4(inside) ? inside : lower;
}

function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/u.exec(hop)?.[1];
  if (bracketed !== undefined) return bracketed;
  return /^[\d.]+:\d+$/u.test(hop) ? (hop.split(":")[0] ?? "") : hop;
}
