// A TCP proxy in front of Postgres that fails when it is told to, for one connection or for all: cut, late, half open, or
// in the very moment of a COMMIT. It reads what clients send just far enough to know a COMMIT; TLS it cannot read.
//
// It counts what it has done: a test of a fault must show that the fault came to pass.

import net from "node:net";

/**
 * What befalls a COMMIT. `cut-before`: it never arrives, and both sides see the connection end. `drop-reply`: Postgres carries
 * it out and answers, and the client sees the connection end instead. `last-words`: the same, but the client is told first
 * that Postgres dies of an error, as it does when its log cannot be flushed. `strand`: the client sees the connection end, while
 * Postgres sees nothing and keeps the transaction open, until `deliver` or `forget` of the link is called.
 */
export type CommitFault = "cut-before" | "drop-reply" | "last-words" | "strand";

export class FaultProxy implements AsyncDisposable {
  /** How often each fault has bitten. `held`: messages that came while they were not passed on. */
  readonly bites = { "cut-before": 0, "drop-reply": 0, "last-words": 0, strand: 0, cut: 0, held: 0 };
  /** How late what Postgres says is passed on, for connections that are open as well. */
  delayMs = 0;
  /** COMMITs that came by, whatever became of them. */
  commits = 0;
  readonly links = new Set<Link>();
  /** Called when a link has been stranded. */
  onStranded: (link: Link) => void = () => {};
  readonly #server: net.Server;
  readonly #faults: CommitFault[] = [];
  #isHeld = false;

  private constructor(host: string, port: number) {
    this.#server = net.createServer((near) => {
      const link = new Link(this, near, net.connect(port, host));
      this.links.add(link);
      if (this.#isHeld) link.hold();
    });
  }

  /** @param databaseUrl where Postgres is */
  static async start(databaseUrl: string): Promise<FaultProxy> {
    const { hostname, port } = new URL(databaseUrl);
    const proxy = new FaultProxy(hostname, Number(port === "" ? 5432 : port));
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port; // it listens on a port
  }

  /** The same database, by way of this proxy. */
  through(databaseUrl: string): string {
    const url = new URL(databaseUrl);
    url.hostname = "127.0.0.1";
    url.port = String(this.port);
    return url.href;
  }

  /** The next `times` COMMITs, of whichever connection, fail like this. */
  failCommits(fault: CommitFault, times = 1): void {
    for (let time = 0; time < times; time++) this.#faults.push(fault);
  }

  /** What failCommits has ordered and has not come to pass yet is taken back. @returns how many COMMITs will not fail */
  spareCommits(): number {
    return this.#faults.splice(0).length;
  }

  /** Ends every connection that is open, at once. */
  cut(): void {
    for (const link of this.links) link.cut();
  }

  /** From now on nothing is passed on, either way, and ends of connections neither; also of new ones. */
  hold(): void {
    this.#isHeld = true;
    for (const link of this.links) link.hold();
  }

  /** What was held is passed on, in order, and so is what comes. */
  resume(): void {
    this.#isHeld = false;
    for (const link of this.links) link.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.links) link.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** @internal */
  takeFault(): CommitFault | undefined {
    this.commits++;
    return this.#faults.shift();
  }
}

/** One connection of a client, and the one to Postgres that belongs to it. */
export class Link {
  readonly #proxy: FaultProxy;
  readonly #near: net.Socket;
  readonly #far: net.Socket;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #commits = new CommitFinder();
  #isHeld = false;
  #isStranded = false;
  #awaitsLostReply: "drop-reply" | "last-words" | undefined;

  constructor(proxy: FaultProxy, near: net.Socket, far: net.Socket) {
    this.#proxy = proxy;
    this.#near = near;
    this.#far = far;
    this.#up = new Flow(far, () => 0);
    this.#down = new Flow(near, () => proxy.delayMs);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => {}); // a close follows
    }
    near.on("data", (bytes: Buffer) => this.#onAsked(bytes));
    far.on("data", (bytes: Buffer) => this.#onAnswered(bytes));
    near.on("close", () => this.#onClosed(far));
    far.on("close", () => this.#onClosed(near));
  }

  /** Whether the client's end is there. */
  get isOpen(): boolean {
    return !this.#near.destroyed;
  }

  /** Ends it for both sides. */
  cut(): void {
    if (this.#near.destroyed && this.#far.destroyed) return;
    this.#proxy.bites.cut++;
    this.destroy();
  }

  hold(): void {
    this.#isHeld = true;
    this.#up.hold();
    this.#down.hold();
  }

  resume(): void {
    this.#isHeld = false;
    this.#up.resume();
    this.#down.resume();
    if (this.#isStranded) return;
    if (this.#near.destroyed) this.#onClosed(this.#far);
    if (this.#far.destroyed) this.#onClosed(this.#near);
  }

  get isStranded(): boolean {
    return this.#isStranded;
  }

  /** A stranded COMMIT arrives after all. Resolves when Postgres has answered it. */
  async deliver(): Promise<void> {
    const answered = new Promise((resolve) => void this.#far.once("data", resolve));
    this.#up.resume();
    await answered;
    this.destroy();
  }

  /** Postgres learns that a stranded client is gone. */
  forget(): void {
    this.destroy();
  }

  /** @internal */
  destroy(): void {
    this.#near.destroy();
    this.#far.destroy();
    this.#proxy.links.delete(this);
  }

  #onAsked(bytes: Buffer): void {
    if (this.#isHeld) this.#proxy.bites.held++;
    const at = this.#commits.find(bytes);
    const fault = at === undefined ? undefined : this.#proxy.takeFault();
    if (fault === undefined) {
      this.#up.push(bytes);
      return;
    }
    this.#proxy.bites[fault]++;
    switch (fault) {
      case "cut-before":
        this.#up.push(bytes.subarray(0, at));
        this.destroy();
        return;
      case "drop-reply":
      case "last-words":
        this.#awaitsLostReply = fault;
        this.#up.push(bytes);
        return;
      case "strand":
        this.#isStranded = true;
        this.#up.hold();
        this.#up.push(bytes);
        this.#near.destroy();
        this.#proxy.onStranded(this);
    }
  }

  #onAnswered(bytes: Buffer): void {
    if (this.#isHeld) this.#proxy.bites.held++;
    // Clients send COMMIT when all before it is answered: this is the answer to it.
    switch (this.#awaitsLostReply) {
      case undefined:
        this.#down.push(bytes);
        return;
      case "drop-reply":
        this.destroy();
        return;
      case "last-words":
        this.#awaitsLostReply = "drop-reply";
        this.#near.end(LAST_WORDS, () => this.destroy());
    }
  }

  #onClosed(other: net.Socket): void {
    if (this.#isHeld || (this.#isStranded && other === this.#far)) return;
    other.end();
    if (other.destroyed) this.#proxy.links.delete(this);
  }
}

/** One direction: in order, unless it is held, and as late as is asked for. */
class Flow {
  readonly #to: net.Socket;
  readonly #delayMs: () => number;
  readonly #queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #isHeld = false;

  constructor(to: net.Socket, delayMs: () => number) {
    this.#to = to;
    this.#delayMs = delayMs;
  }

  push(bytes: Buffer): void {
    const delayMs = this.#delayMs();
    // Never before what came earlier, also when the delay has just become shorter.
    const dueMs = Math.max(performance.now() + delayMs, this.#queue.at(-1)?.dueMs ?? 0);
    this.#queue.push({ bytes, dueMs });
    if (delayMs === 0 && this.#queue.length === 1) this.#send(dueMs);
    else setTimeout(() => this.#send(dueMs), Math.max(0, dueMs - performance.now()));
  }

  hold(): void {
    this.#isHeld = true;
  }

  resume(): void {
    this.#isHeld = false;
    this.#send(Number.POSITIVE_INFINITY);
  }

  #send(nowMs: number): void {
    while (!this.#isHeld && this.#queue[0] !== undefined && this.#queue[0].dueMs <= nowMs) {
      const next = this.#queue.shift();
      if (next !== undefined && !this.#to.destroyed) this.#to.write(next.bytes);
    }
  }
}

/** Finds COMMIT in what a client of Postgres sends, as a simple query or as the text of a statement. */
class CommitFinder {
  /** What has come of a message that is not whole yet. */
  #rest = Buffer.alloc(0);
  /** The first messages, up to the one that begins the session, have no type. */
  #hasBegun = false;

  /** @returns where in `bytes` the message with COMMIT begins; 0 when it began in earlier ones */
  find(bytes: Buffer): number | undefined {
    const before = this.#rest.length;
    let rest = Buffer.concat([this.#rest, bytes]);
    let at: number | undefined;
    let passed = 0;
    for (;;) {
      const head = this.#hasBegun ? 1 : 0;
      if (rest.length < head + 4) break;
      const length = head + rest.readInt32BE(head);
      if (rest.length < length) break;
      const message = rest.subarray(0, length);
      if (this.#hasBegun) {
        if (isCommit(message)) at ??= Math.max(0, passed - before);
      } else {
        this.#hasBegun = message.readInt32BE(4) === PROTOCOL_3;
      }
      rest = rest.subarray(length);
      passed += length;
    }
    this.#rest = Buffer.from(rest);
    return at;
  }
}

const PROTOCOL_3 = 0x0003_0000;

/** An ErrorResponse, and nothing after it. */
const LAST_WORDS = errorResponse({ S: "PANIC", V: "PANIC", C: "58030", M: "could not fsync file" });

function errorResponse(fields: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(
    `${Object.entries(fields)
      .map((field) => `${field.join("")}\0`)
      .join("")}\0`,
  );
  const head = Buffer.from("E....");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function isCommit(message: Buffer): boolean {
  const body = message.subarray(5).toString("latin1");
  switch (message.toString("latin1", 0, 1)) {
    case "Q":
      return /^\s*commit\s*;?\s*\0$/iu.test(body);
    case "P":
      return /^[^\0]*\0\s*commit\s*;?\s*\0/iu.test(body);
    default:
      return false;
  }
}
