// Colyseus's presence over Redis, made safe to lose. Redis carries requests between nodes and nothing else; while it is
// away, rooms on this node go on, and what needs it fails within its deadline instead of hanging.
//
// Channels carry the cluster's prefix, so that two clusters can share a Redis; keys get it from the connection.

import { RedisPresence } from "@colyseus/redis-presence";
import type { Redis } from "ioredis";
import type { RoomId } from "../ids.ts";

type Listener = (message: unknown) => void;

export interface PresenceParts {
  readonly redis: Redis;
  readonly channelPrefix: string;
  /** Resolves when some node has the room open, or when waiting longer would help nobody. Never rejects. */
  readonly untilActive: (roomId: RoomId) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export class ClusterPresence extends RedisPresence {
  readonly #parts: PresenceParts;
  readonly #wrapped = new WeakMap<Listener, Listener>();

  constructor(parts: PresenceParts) {
    super(parts.redis);
    this.#parts = parts;
    // Colyseus logs every failed attempt to connect, several a second; the node says once that Redis is away.
    this.sub.removeAllListeners("error");
    this.sub.on("error", () => {});
  }

  override async subscribe(topic: string, listener: Listener): Promise<this> {
    try {
      await super.subscribe(this.#parts.channelPrefix + topic, this.#guarded(topic, listener));
    } catch (error) {
      // The listener is registered; the subscription is made again when Redis is back (resubscribeAll).
      this.#parts.onError(error);
    }
    return this;
  }

  override async unsubscribe(topic: string, listener?: Listener): Promise<this> {
    try {
      await super.unsubscribe(this.#parts.channelPrefix + topic, listener && this.#guarded(topic, listener));
    } catch (error) {
      this.#parts.onError(error);
    }
    return this;
  }

  /** A request to a room waits here until some node has the room open; the asker's own deadline still runs. */
  override async publish(topic: string, message: unknown): Promise<void> {
    try {
      if (topic.startsWith("$")) await this.#parts.untilActive(topic.slice(1) as RoomId);
      await super.publish(this.#parts.channelPrefix + topic, message);
    } catch (error) {
      this.#parts.onError(error); // Colyseus does not await this; who asked finds out by the deadline
    }
  }

  override async channels(pattern = "*"): Promise<string[]> {
    const prefix = this.#parts.channelPrefix;
    return (await super.channels(prefix + pattern)).map((channel) => channel.slice(prefix.length));
  }

  /** Colyseus takes a request between nodes apart without looking: what is not one must not reach it. */
  #guarded(topic: string, listener: Listener): Listener {
    const isRequests = topic.startsWith("$") || topic.startsWith("p:") || topic.startsWith("ipc:");
    let wrapped = this.#wrapped.get(listener);
    if (wrapped === undefined) {
      wrapped = (message) => {
        if (isRequests && !Array.isArray(message)) {
          this.#parts.onError(new Error(`not a request, on channel ${topic}`));
          return;
        }
        try {
          listener(message);
        } catch (error) {
          this.#parts.onError(error);
        }
      };
      this.#wrapped.set(listener, wrapped);
    }
    return wrapped;
  }
}
