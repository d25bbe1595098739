// Whether Redis can be relied on at this moment. The gate that closes when it cannot is in gate.ts.
//
// Redis may vanish, hang, turn read-only, fill up, forget everything or hear and not be heard, at any time. So four times
// a second a node goes through all it needs of it: it reads and writes a key, and hears on one connection what it says
// on the other. While that fails, or anything else does that is not the asker's mistake, the gate is closed: commands are
// refused at once, and whoever asked takes the way that needs no Redis. Nothing waits in a queue for it to come back.
//
// Promises: a topic that is subscribed to is listened to whenever the gate is open; and when Redis is back, or has lost
// what was written to it, `onRenewed` is called, for whoever keeps something there to write it again.

import { Redis } from "ioredis";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import { explainConnectFailure, makeConnections, type Connection, type Connections } from "./connect.ts";
import { faultOf, Gate } from "./gate.ts";

/** How long after one look the next begins. */
const LOOK_EVERY_MS = 250;
/** How long a connection that was ended for its silence is left to come back before it is ended again. */
const RECONNECT_EVERY_MS = 1_000;
/** How long a pair of connections may fail before another is made. */
const REBUILD_MS = 3_000;
/** How long after Redis was away or emptied other nodes may still be writing what they keep there. */
const SETTLE_MS = 1_500;
/** The mark outlives a short absence; that it is gone afterwards is no news, since all is written again then. */
const MARK_KEPT_MS = 60_000;
export class RedisLink {
  #connections: Connections;
  #builtAtMs = Number.NEGATIVE_INFINITY;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #events: EventBus;
  readonly #gate: Gate;
  readonly #topics = new Set<string>();
  readonly #ending = new AbortController();
  readonly #heartTopic: string;
  readonly #markKey: string;
  readonly #lastReconnectMs = new Map<Connection, number>();
  /** Called with what comes on a topic that is subscribed to. */
  onMessage: (topic: string, text: string) => void = () => {};
  /** Called when Redis is back, or has lost what was written: what is kept there is to be written again. */
  onRenewed: () => void = () => {};
  #isSound = false;
  #lostAtMs: number | undefined;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #failure: unknown;
  #looks = 0;
  /** Which connection the look under way waits for. */
  #looked: Connection | undefined;
  /** The newest mark that Redis has acknowledged. */
  #mark = 0;
  /** Whether all topics are listened to on the subscriber's present connection. */
  #isListening = false;
  #heard = { look: 0, resolve: (): void => {} };
  #loop: Promise<void> | undefined;

  private constructor(config: Config, clock: Clock, events: EventBus) {
    this.#config = config;
    this.#clock = clock;
    this.#events = events;
    this.#gate = new Gate({
      config,
      clock,
      closedFor: () => (this.#isSound ? undefined : (this.#failure ?? new Error("away"))),
      onFault: (error) => this.#close(error),
    });
    this.#heartTopic = `${config.keyPrefix}heart:${config.nodeId}`;
    this.#markKey = `mark:${config.nodeId}`;
    this.#connections = this.#build();
  }

  /**
   * Connects, and goes through everything once, so that a wrong address is found at the start.
   *
   * @param mayDoWithout asked when nobody answers there: whether to start all the same, because the cluster runs and Redis
   * is only away
   * @throws RingsideError REDIS_UNREACHABLE with what to do
   */
  static async open(
    config: Config,
    clock: Clock,
    events: EventBus,
    mayDoWithout: () => Promise<boolean> = () => Promise.resolve(false),
  ): Promise<RedisLink> {
    const link = new RedisLink(config, clock, events);
    try {
      await link.#connect();
      link.#isSound = true;
    } catch (error) {
      const failure = explainConnectFailure(link.#failure ?? error, config.redisUrl);
      if (failure.facts["isAway"] !== true || !(await mayDoWithout())) {
        link.#disconnect();
        throw failure;
      }
      link.#isSound = true; // until it is told otherwise
      link.#close(error);
    }
    link.#loop = repeat(
      clock,
      LOOK_EVERY_MS,
      link.#ending.signal,
      () => link.#step(),
      () => {},
    );
    return link;
  }

  /** Every command on it passes the gate. Not to be kept: it may be another one the next time. */
  get commands(): Connection {
    return this.#connections.commands;
  }

  /** Whether Redis can be relied on, as far as is known. */
  get isSound(): boolean {
    return this.#isSound;
  }

  /** Whether, beyond that, all nodes have had the time to write again what Redis may have lost. */
  get isSettled(): boolean {
    return this.#isSound && this.#clock.monotonicMs() - this.#renewedAtMs > SETTLE_MS;
  }

  /**
   * Reads what others have written, and makes sure by the same exchange that Redis has not lost what was written to it.
   *
   * @throws when it has, or does not answer
   */
  async readWhole<T>(read: () => Promise<T>): Promise<T> {
    const mark = this.#mark;
    const [found, result] = await Promise.all([this.commands.get(this.#markKey), read()]);
    if (this.#isWhole(found, mark)) return result;
    this.#renew();
    throw new Error("Redis has lost what was written to it");
  }

  /** How many commands wait for an answer. */
  get pending(): number {
    return this.#gate.pending;
  }

  /** Listens to a topic, from now or from when Redis is back. Never rejects. */
  async subscribe(topic: string): Promise<void> {
    this.#topics.add(topic);
    if (!this.#isListening) return; // the next look listens to all of them
    await this.#connections.subscriber.subscribe(topic).catch((error: unknown) => this.#notListening(error));
  }

  /** Never rejects. What comes of a topic all the same finds nobody listening. */
  async unsubscribe(topic: string): Promise<void> {
    if (!this.#topics.delete(topic) || !this.#isListening) return;
    await this.#connections.subscriber
      .unsubscribe(topic)
      .catch((error: unknown) => this.#notListening(error));
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#isSound = false;
    this.#disconnect();
    await this.#loop;
  }

  #build(): Connections {
    const connections = makeConnections(this.#config);
    const { commands, subscriber } = connections;
    this.#builtAtMs = this.#clock.monotonicMs();
    this.#isListening = false;
    for (const connection of [commands, subscriber]) {
      this.#gate.guard(connection, connection === commands);
      connection.on("error", (error: unknown) => (this.#failure = error)); // a close follows
      connection.on("close", () => {
        if (this.#connections !== connections) return;
        if (connection === subscriber) this.#isListening = false;
        this.#close(this.#failure ?? new Error("connection closed"));
      });
    }
    subscriber.on("message", (topic: string, text: string) => {
      if (this.#connections === connections) this.#onMessage(topic, text);
    });
    return connections;
  }

  /** The library has states that it does not come out of, above all with a Redis Cluster: then everything is made anew. */
  #rebuild(): void {
    this.#disconnect();
    this.#connections = this.#build();
    const { commands, subscriber } = this.#connections;
    for (const connection of [commands, subscriber]) connection.connect().catch(() => {}); // told by the next look
  }

  async #connect(): Promise<void> {
    const { storeMs } = this.#config;
    const endsMs = this.#clock.monotonicMs() + storeMs;
    const connecting = [this.commands, this.#connections.subscriber].map((connection) =>
      connection.connect(),
    );
    // Sentinels are asked for ever, if need be.
    await this.#gate.within("a connection", Promise.all(connecting), storeMs);
    if (this.commands instanceof Redis) {
      // One server of a Redis Cluster may well hold the key that is looked at, and not the others.
      const asking = this.#gate.letPass(() => this.commands.info("cluster"));
      const info = await asking.catch(() => ""); // whoever may not ask finds out later
      if (/^cluster_enabled:1/mu.test(info)) throw new Error("MOVED: part of a Redis Cluster");
    }
    // What has just started may be loading, or a Redis Cluster still finding out who is who.
    for (;;) {
      try {
        await this.#look();
        return;
      } catch (error) {
        if (this.#clock.monotonicMs() > endsMs) throw error;
        await this.#clock.sleep(LOOK_EVERY_MS);
      }
    }
  }

  /** One look, and what follows from it. */
  async #step(): Promise<void> {
    const sinceMs = this.#clock.monotonicMs() - Math.max(this.#builtAtMs, this.#lostAtMs ?? this.#builtAtMs);
    if (!this.#isSound && sinceMs > REBUILD_MS) return this.#rebuild();
    for (const connection of [this.commands, this.#connections.subscriber]) {
      // The library ends for good what it cannot connect in some of its phases; we never do.
      if (connection.status === "end") connection.connect().catch(() => {}); // told by the next look
      if (connection.status !== "ready") return this.#close(this.#failure ?? new Error("not connected"));
    }
    try {
      await this.#look();
      this.#open();
    } catch (error) {
      this.#close(error);
      if (faultOf(error) === "silent" || messageOf(error).startsWith("READONLY")) {
        // The address may lead elsewhere by now: to the new primary, or to a process that lives.
        this.#reconnect(this.#looked);
      }
    }
  }

  /** Goes through all that is needed of Redis. @throws what failed, or that there was no answer in time */
  async #look(): Promise<void> {
    const look = ++this.#looks;
    this.#looked = this.#connections.subscriber;
    while (!this.#isListening) {
      const topics = [this.#heartTopic, ...this.#topics];
      await this.#connections.subscriber.subscribe(...topics);
      // Whoever wanted a topic meanwhile has left it to us.
      this.#isListening = [...this.#topics].every((topic) => topics.includes(topic));
    }
    this.#looked = this.commands;
    const heard = new Promise<void>((resolve) => (this.#heard = { look, resolve }));
    const [before] = await this.#gate.letPass(() =>
      Promise.all([
        this.commands.get(this.#markKey),
        this.commands.set(this.#markKey, String(look), "PX", MARK_KEPT_MS),
        this.commands.publish(this.#heartTopic, String(look)),
      ]),
    );
    const isWhole = this.#isWhole(before, this.#mark);
    this.#mark = look;
    this.#looked = this.#connections.subscriber;
    await this.#gate.within("hearing what is said", heard);
    if (!isWhole && this.#isSound) this.#renew();
  }

  /** Whether what was found is at least the newest mark that was acknowledged before it was asked for. */
  #isWhole(found: string | null, mark: number): boolean {
    return Number(found ?? 0) >= mark;
  }

  #renew(): void {
    this.#renewedAtMs = this.#clock.monotonicMs();
    this.onRenewed();
  }

  #onMessage(topic: string, text: string): void {
    if (topic !== this.#heartTopic) this.onMessage(topic, text);
    else if (Number(text) === this.#heard.look) this.#heard.resolve();
  }

  #open(): void {
    if (this.#isSound || this.#ending.signal.aborted) return;
    this.#isSound = true;
    this.#failure = undefined;
    const awayMs = Math.round(this.#clock.monotonicMs() - (this.#lostAtMs ?? 0));
    this.#events.emit("redis:regained", { awayMs });
    this.#renew();
  }

  #close(error: unknown): void {
    if (!this.#isSound) return;
    this.#isSound = false;
    this.#lostAtMs = this.#clock.monotonicMs();
    this.#events.emit("redis:lost", { error: messageOf(error) });
  }

  /** Who wants to listen to what is known, but Redis may not know it: the next look tells it. */
  #notListening(error: unknown): void {
    this.#isListening = false;
    this.#close(error);
  }

  #reconnect(connection: Connection | undefined): void {
    const nowMs = this.#clock.monotonicMs();
    if (connection === undefined || connection.status !== "ready") return;
    if (nowMs - (this.#lastReconnectMs.get(connection) ?? -RECONNECT_EVERY_MS) < RECONNECT_EVERY_MS) return;
    this.#lastReconnectMs.set(connection, nowMs);
    connection.disconnect(true);
  }

  #disconnect(): void {
    for (const connection of [this.commands, this.#connections.subscriber]) connection.disconnect();
  }
}
