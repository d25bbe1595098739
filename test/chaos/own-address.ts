// A node of the chaos run calls the others from an address of its own, so that the proxies between them know who calls, and a
// single link of two nodes can be cut. Real nodes have that by being on machines of their own.
//
// It is in place before a node starts, because the game is loaded first (src/main.ts).

import net from "node:net";

/** How a node is told its address. */
export const OWN_ADDRESS_ENV = "CHAOS_OWN_ADDRESS";
/** Where the proxies before the nodes are. */
export const PROXY_NETWORK = "127.0.1.";
/** Where the nodes call from. */
export const CALLER_NETWORK = "127.0.2.";

/** From now on connections to other nodes are made from `address`. */
export function callFrom(address: string): void {
  // oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
  const connect = net.Socket.prototype.connect as (...args: unknown[]) => net.Socket;
  net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
    const [first] = args;
    // net.connect hands on what it has made of its arguments: an array that begins with the options.
    const options = (Array.isArray(first) ? (first as unknown[])[0] : first) as
      { host?: string; localAddress?: string } | undefined;
    if (typeof options === "object" && options.host?.startsWith(PROXY_NETWORK) === true)
      options.localAddress = address;
    return connect.apply(this, args);
  } as typeof net.Socket.prototype.connect; // it takes what that takes
}
