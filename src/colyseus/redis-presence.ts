// Colyseus's presence, made safe to lose its Redis. Requests between nodes do not pass through it at all: they go straight
// to whom they are for (direct-line.ts). What games themselves publish and keep does; while Redis is away, what is
// published is heard on this node alone, what is asked for is refused at once with 503, and nothing waits.
//
// Channels carry the cluster's prefix, so that two clusters can share a Redis; keys get it from the connection.

import { randomUUID } from "node:crypto";
import { matchMaker } from "@colyseus/core";
import { RedisPresence } from "@colyseus/redis-presence";
import { Cluster, type Redis } from "ioredis";
import type { Config } from "../config.ts";
import { RingsideError } from "../errors.ts";
import type { RedisLink } from "../redis/link.ts";
import type { DirectLine, Reply } from "./direct-line.ts";
import { refusedByProcess, refusedByRoom, type Request } from "./remote-calls.ts";
import { isRow } from "./room-listing.ts";
import type { RoomWhereabouts } from "./room-whereabouts.ts";
import { asServerError } from "./server-error.ts";

type Listener = (message: unknown) => void;
type Method = (...values: unknown[]) => Promise<unknown>;

export interface PresenceParts {
  readonly config: Config;
  readonly link: RedisLink;
  readonly line: Pick<DirectLine, "ask">;
  readonly whereabouts: RoomWhereabouts;
  readonly onError: (error: unknown) => void;
}

/** Where the answer to a request is awaited. */
const ANSWERS = "ipc:";
/** The count of those who are creating a room of a kind at this moment, which keeps it to one at a time. */
const LOCKS = "ch:";
/** What Colyseus tells of each process, without waiting for it to be told. */
const STATS = "roomcount";
/** How the topic of a process begins. */
const PROCESSES = "p:";
/** How the topic of a room begins. */
const ROOM = "$";
/** Colyseus's own topic for lobbies; it looks like a room's. */
const LOBBY = "$lobby";

/** All that asks something of Redis, and may be refused. */
const ASKING =
  "exists set setex expire get del sadd smembers sismember srem scard sinter " +
  "hset hincrby hincrbyex hget hgetall hdel hlen incr decr llen rpush lpush rpop lpop channels";

export class ClusterPresence extends RedisPresence {
  readonly #parts: PresenceParts;
  readonly #wrapped = new WeakMap<Listener, Listener>();
  /** Requests from here that wait for their answer. */
  readonly #asking = new Map<string, AbortController>();
  /** Requests that are being carried out here. */
  readonly #answering = new Map<string, (reply: Reply) => void>();
  /** Of each lock, how many hold it by this node's word alone, because Redis could not be told. */
  readonly #lockedHere = new Map<string, number>();

  constructor(parts: PresenceParts) {
    // It makes a connection of its own to listen on, which is never opened: the link's is used.
    super(parts.link.commands as Redis);
    this.#parts = parts;
    this.sub.removeAllListeners();
    this.sub.disconnect();
    // Colyseus logs every failed attempt to connect, several a second; the link tells once that Redis is away.
    for (const listener of this.pub.listeners("error").slice(-1))
      this.pub.off("error", listener as () => void);
    // The link makes itself new connections when it has to.
    Object.defineProperty(this, "pub", { get: () => parts.link.commands });
    parts.link.onMessage = (topic, text) => this.#onMessage(topic, text);
    this.#refuseInTime();
    // Each room has an object of its own that inherits from this one, and so none of its private fields.
    for (const name of ["publish", "brpop"] as const) Object.assign(this, { [name]: this[name].bind(this) });
  }

  override async subscribe(topic: string, listener: Listener): Promise<this> {
    this.subscriptions.addListener(topic, this.#guarded(listener));
    if (!isDirect(topic)) await this.#parts.link.subscribe(this.#prefixed(topic));
    return this;
  }

  override async unsubscribe(topic: string, listener?: Listener): Promise<this> {
    if (listener === undefined) this.subscriptions.removeAllListeners(topic);
    else this.subscriptions.removeListener(topic, this.#guarded(listener));
    if (topic.startsWith(ANSWERS)) this.#asking.get(topic)?.abort();
    if (!isDirect(topic) && this.subscriptions.listenerCount(topic) === 0) {
      await this.#parts.link.unsubscribe(this.#prefixed(topic));
    }
    return this;
  }

  /** Never rejects: Colyseus does not await it, and who waits for an answer has a deadline. */
  override async publish(topic: string, message: unknown): Promise<void> {
    try {
      if (topic.startsWith(ANSWERS)) this.#answering.get(topic)?.(message as Reply);
      else if (isDirect(topic)) await this.#request(topic, message);
      else if (this.#parts.link.isSound) await super.publish(this.#prefixed(topic), message);
      // As it would come back from Redis.
      else this.subscriptions.emit(topic, JSON.parse(JSON.stringify(message ?? false)));
    } catch (error) {
      this.#parts.onError(error);
    }
  }

  /** On a connection of its own, as in stock, but within its time; `0` waits for as long as the connection lasts. */
  override async brpop(...values: unknown[]): Promise<[string, string] | null> {
    const { link, config } = this.#parts;
    const seconds = Number(values.at(-1));
    const commandTimeout = seconds > 0 ? seconds * 1_000 + config.redisMs : undefined;
    const own = { enableOfflineQueue: true, ...(commandTimeout === undefined ? {} : { commandTimeout }) };
    const { commands } = link;
    const blocking =
      commands instanceof Cluster
        ? commands.duplicate([], { ...own, redisOptions: { ...commands.options.redisOptions, ...own } })
        : commands.duplicate(own);
    blocking.on("error", () => {}); // told by the command
    try {
      // Colyseus's own signature: keys, then the seconds.
      return await (blocking.brpop as (...values: unknown[]) => Promise<[string, string] | null>)(...values);
    } catch (error) {
      throw unreachable(error);
    } finally {
      blocking.disconnect();
    }
  }

  override shutdown(): void {
    for (const asking of this.#asking.values()) asking.abort();
  }

  /** Carries out a request that has come to this node; undefined when nobody here takes it. */
  async deliver(request: Request, signal: AbortSignal): Promise<Reply | undefined> {
    const { to, method, args } = request;
    if (!isDirect(to) || this.subscriptions.listenerCount(to) === 0) return undefined;
    const isRooms = to.startsWith(ROOM);
    const room = isRooms ? matchMaker.getLocalRoomById(to.slice(ROOM.length)) : undefined;
    if (isRooms && room === undefined) return undefined;
    const refused = room === undefined ? refusedByProcess(request) : refusedByRoom(room, request);
    if (refused !== undefined) return [1, refused];
    const id = randomUUID();
    const topic = ANSWERS + id;
    try {
      return await new Promise<Reply>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("nobody waits for the answer")), {
          once: true,
        });
        this.#answering.set(topic, resolve);
        this.subscriptions.emit(to, [method, id, args]);
      });
    } catch {
      return [1, "ipc_timeout"];
    } finally {
      this.#answering.delete(topic);
    }
  }

  /** Lets go of locks on kinds of rooms that were never let go of, because Redis was not there to be told. */
  async forgetLocks(roomNames: readonly string[]): Promise<void> {
    for (const name of roomNames) await this.pub.del(LOCKS + name);
  }

  async #request(topic: string, message: unknown): Promise<void> {
    const [method, id, args] = message as [unknown, string, unknown];
    const answers = ANSWERS + id;
    const asking = new AbortController();
    this.#asking.set(answers, asking);
    try {
      const request = { to: topic, method, args } as Request; // whoever answers looks at it
      const reply = await this.#parts.line.ask(request, asking.signal);
      // The row of a room that was created elsewhere: a seat in it is reserved next.
      if (topic.startsWith(PROCESSES) && isRow(reply[1])) this.#parts.whereabouts.follow(reply[1]);
      this.subscriptions.emit(answers, reply);
    } finally {
      this.#asking.delete(answers);
    }
  }

  #onMessage(channel: string, text: string): void {
    const { keyPrefix } = this.#parts.config;
    if (!channel.startsWith(keyPrefix)) return;
    const topic = channel.slice(keyPrefix.length);
    if (isDirect(topic)) return; // requests come over the direct line, from those who have the key
    try {
      this.subscriptions.emit(topic, JSON.parse(text));
    } catch {
      this.#parts.onError(new Error(`not JSON, on channel ${topic}`));
    }
  }

  #prefixed(topic: string): string {
    return this.#parts.config.keyPrefix + topic;
  }

  /** What a listener throws is its author's affair, and no reason for the others not to hear. */
  #guarded(listener: Listener): Listener {
    let wrapped = this.#wrapped.get(listener);
    if (wrapped === undefined) {
      wrapped = (message) => {
        try {
          const result: unknown = listener(message);
          if (result instanceof Promise) result.catch(this.#parts.onError);
        } catch (error) {
          this.#parts.onError(error);
        }
      };
      this.#wrapped.set(listener, wrapped);
    }
    return wrapped;
  }

  /** Each of the stock methods, but it throws where stock gives the error as a result, and throws a 503 that players get. */
  #refuseInTime(): void {
    const own = this as unknown as Record<string, Method>;
    for (const name of ASKING.split(" ")) {
      const stock = own[name]?.bind(this) as Method;
      own[name] = async (...values) => {
        try {
          // A transaction that is begun before a Redis Cluster is there would wait for it.
          if (!this.#parts.link.isSound) throw new RingsideError("REDIS_UNREACHABLE");
          const result = await stock(...values);
          if (result instanceof Error) throw result;
          return result;
        } catch (error) {
          throw unreachable(error);
        }
      };
    }
    const { hset, hdel, hincrbyex, channels } = own as Record<string, Method>;
    // Colyseus tells these without waiting, so nobody would hear of a failure; they are told again.
    own["hset"] = (key, ...values) => notAwaited(key, hset?.(key, ...values));
    own["hdel"] = (key, ...values) => notAwaited(key, hdel?.(key, ...values));
    own["hincrbyex"] = async (key, field, by, seconds) => {
      if (!String(key).startsWith(LOCKS)) return hincrbyex?.(key, field, by, seconds);
      return this.#lock(`${String(key)} ${String(field)}`, Number(by), () =>
        hincrbyex?.(key, field, by, seconds),
      );
    };
    own["channels"] = async (pattern = "*") => {
      const { keyPrefix } = this.#parts.config;
      const found = (await channels?.(keyPrefix + String(pattern))) as string[];
      return found.map((channel) => channel.slice(keyPrefix.length));
    };
  }

  /**
   * Colyseus lets one create a room of a kind at a time, and hangs for ever when it cannot count. While Redis is away each
   * node counts for itself: two nodes may then create a room each, where one would have done.
   */
  async #lock(lock: string, by: number, count: () => unknown): Promise<unknown> {
    const here = this.#lockedHere.get(lock) ?? 0;
    if (by < 0 && here > 0) return this.#lockHere(lock, here - 1);
    try {
      return await count();
    } catch {
      return by > 0 ? this.#lockHere(lock, (this.#lockedHere.get(lock) ?? 0) + 1) : 0;
    }
  }

  #lockHere(lock: string, holders: number): number {
    if (holders === 0) this.#lockedHere.delete(lock);
    else this.#lockedHere.set(lock, holders);
    return holders;
  }
}

/** Whether a topic is that of a room, a process or an answer: no business of Redis. */
function isDirect(topic: string): boolean {
  return (
    (topic.startsWith(ROOM) && topic !== LOBBY) || topic.startsWith(PROCESSES) || topic.startsWith(ANSWERS)
  );
}

async function notAwaited(key: unknown, told: Promise<unknown> | undefined): Promise<unknown> {
  return key === STATS ? await told?.catch(() => false) : told;
}

/** A mistake of the asker is theirs to see; anything else is that Redis is not there, which players are told as 503. */
function unreachable(error: unknown): unknown {
  if (error instanceof Error && /^(?:ERR|WRONGTYPE|CROSSSLOT)\b/u.test(error.message)) return error;
  return asServerError(
    error instanceof RingsideError ? error : new RingsideError("REDIS_UNREACHABLE", {}, error),
  );
}
