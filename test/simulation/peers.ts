// How simulated nodes speak to each other: PeerNetwork over the simulated wire, with what kernels do. A process that is gone
// leaves its port refusing and its connections closed; a host without power leaves nothing; a frozen process answers late.

import type { Incarnation } from "../../src/ids.ts";
import type { Link, PeerNetwork, PromiseAnswer } from "../../src/membership/peer-network.ts";
import type { Member } from "../../src/membership/view.ts";
import type { Wire } from "./wire.ts";
import type { Process, World } from "./world.ts";

/** Somebody who listens on a port. */
export interface Listener {
  readonly process: Process;
  readonly incarnation: Incarnation;
  linkedBy(incarnation: Incarnation): void;
  promise(by: Incarnation, forMs: number): PromiseAnswer;
}

/** Who listens where; a host without power is there and says nothing. */
export class Ports {
  readonly #listeners = new Map<number, Listener>();
  readonly #silent = new Set<number>();
  readonly #links = new Map<Listener, Set<() => void>>();

  listen(port: number, listener: Listener): void {
    this.#silent.delete(port);
    this.#listeners.set(port, listener);
  }

  at(port: number): Listener | "refuses" | "silent" {
    if (this.#silent.has(port)) return "silent";
    return this.#listeners.get(port) ?? "refuses";
  }

  /** Calls `broken` when the listener's process is gone, unless the returned function is called before. */
  connect(listener: Listener, broken: () => void): () => void {
    const links = this.#links.get(listener) ?? new Set();
    this.#links.set(listener, links.add(broken));
    return () => void links.delete(broken);
  }

  /** The process is gone. */
  close(port: number, listener: Listener, isPowerCut: boolean): void {
    if (this.#listeners.get(port) !== listener) return;
    this.#listeners.delete(port);
    if (isPowerCut) this.#silent.add(port);
    else for (const broken of this.#links.get(listener) ?? []) broken();
    this.#links.delete(listener);
  }
}

export class SimPeerNetwork implements PeerNetwork {
  readonly #world: World;
  readonly #wire: Wire;
  readonly #ports: Ports;
  readonly #self: Process;
  readonly #probeMs: number;
  readonly #isCareless: boolean;

  /** @param isCareless whether nobody looks for whom a link is meant */
  constructor(world: World, wire: Wire, ports: Ports, self: Process, probeMs: number, isCareless: boolean) {
    this.#world = world;
    this.#wire = wire;
    this.#ports = ports;
    this.#self = self;
    this.#probeMs = probeMs;
    this.#isCareless = isCareless;
  }

  link(member: Member, self: Incarnation, signal: AbortSignal): Promise<Link> {
    return new Promise((resolve) => {
      const cancel = this.#world.after(this.#self, this.#probeMs, "timer", () =>
        resolve({ outcome: "silent" }),
      );
      const end = (link: Link): void => {
        cancel();
        resolve(link);
      };
      signal.addEventListener("abort", () => end({ outcome: "silent" }), { once: true });
      this.#call(
        member,
        () => end({ outcome: "refused" }),
        (listener) => {
          // A link that is meant for another says nothing of this one.
          if (listener.incarnation === member.incarnation || this.#isCareless) listener.linkedBy(self);
          const closed = this.#untilClosed(member, listener, signal);
          return () => end({ outcome: "answered", incarnation: listener.incarnation, closed });
        },
      );
    });
  }

  askPromise(member: Member, self: Incarnation, forMs: number, signal: AbortSignal): Promise<PromiseAnswer> {
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve({ kind: "silent" }), { once: true });
      this.#call(
        member,
        () => resolve({ kind: "gone" }),
        (listener) => {
          if (listener.incarnation !== member.incarnation) return () => resolve({ kind: "gone" });
          const answer = listener.promise(self, forMs);
          return () => resolve(answer);
        },
      );
    });
  }

  /** @param ask runs in the listener's process; what it returns runs here, when the answer has come back */
  #call(member: Member, refused: () => void, ask: (listener: Listener) => () => void): void {
    const [here, there] = [this.#self.name, member.nodeId];
    const back = (work: () => void): void => {
      const delayMs = this.#wire.delayMs(there, here);
      if (delayMs !== undefined) this.#world.after(this.#self, delayMs, "message", work);
    };
    const delayMs = this.#wire.delayMs(here, there);
    if (delayMs === undefined) return;
    this.#world.after(undefined, delayMs, "message", () => {
      const listener = this.#ports.at(member.internalPort);
      if (listener === "silent") return;
      if (listener === "refuses") back(refused);
      else this.#world.after(listener.process, 0, "message", () => back(ask(listener)));
    });
  }

  #untilClosed(member: Member, listener: Listener, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const disconnect = this.#ports.connect(listener, () => {
        const delayMs = this.#wire.delayMs(member.nodeId, this.#self.name);
        if (delayMs !== undefined) this.#world.after(this.#self, delayMs, "message", resolve);
      });
      signal.addEventListener("abort", () => {
        disconnect();
        resolve();
      });
    });
  }
}
