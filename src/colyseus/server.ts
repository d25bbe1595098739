// Colyseus itself, set up to be one of many. Its matchmaker lives in module state, so there is one node a process;
// this file is the only one that sets it up, and takes it down without its own ideas of a graceful shutdown.

import {
  defineServer,
  matchMaker,
  type IRoomCache,
  RegisteredHandler,
  type Room,
  type RoomDefinitions,
  type Server,
  type ServerOptions,
} from "@colyseus/core";
import type { Redis } from "ioredis";
import type { RoomId } from "../ids.ts";
import { hostedClass } from "./hosted-class.ts";
import { ClusterPresence } from "./redis-presence.ts";
import { RoomListing } from "./room-listing.ts";
import type { RoomGuard } from "./room-guard.ts";
import { ROOM_ID_OPTION } from "./room-guard.ts";
import { internals } from "./room-internals.ts";
import { RoomTransport } from "./room-transport.ts";
import { asServerError } from "./server-error.ts";

/** What a game is made of: what Colyseus's `defineServer` takes, less what Ringside brings itself. */
export type GameOptions = Omit<
  ServerOptions,
  | "transport"
  | "presence"
  | "driver"
  | "server"
  | "gracefullyShutdown"
  | "selectProcessIdToCreateRoom"
  | "publicAddress"
> & {
  readonly rooms: RoomDefinitions;
  readonly routes?: Server["router"];
};

export interface ColyseusParts {
  readonly game: GameOptions;
  readonly guard: RoomGuard;
  readonly redis: Redis;
  readonly keyPrefix: string;
  /** Where a new room should be, by its new id. */
  readonly place: () => { readonly roomId: RoomId; readonly processId: string };
  readonly untilActive: (roomId: RoomId) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export class Colyseus {
  readonly transport: RoomTransport;
  readonly listing: RoomListing;
  readonly #server: Server;
  readonly #presence: ClusterPresence;

  constructor(parts: ColyseusParts) {
    const { game, guard, redis, keyPrefix, place, untilActive, onError } = parts;
    this.transport = new RoomTransport(guard, {}, onError);
    this.listing = new RoomListing(redis, onError);
    this.#presence = new ClusterPresence({ redis, channelPrefix: keyPrefix, untilActive, onError });
    // Its health checks delete the listings of nodes that are only slow; membership/ knows better who lives.
    matchMaker.setHealthChecksEnabled(false);
    this.#server = defineServer({
      ...game,
      rooms: hostedRooms(game.rooms, guard),
      transport: this.transport,
      presence: this.#presence,
      driver: this.listing,
      gracefullyShutdown: false,
      greet: false,
      selectProcessIdToCreateRoom: async (_roomName, options: Record<string, unknown> | undefined) => {
        try {
          const { roomId, processId } = place();
          // Colyseus passes this very object on to the node that creates the room. A client's own value is overwritten.
          if (options !== undefined) options[ROOM_ID_OPTION] = roomId;
          return processId;
        } catch (error) {
          throw asServerError(error);
        }
      },
    } as Parameters<typeof defineServer>[0]);
  }

  /** Colyseus's name for this process. */
  get processId(): string {
    return matchMaker.processId;
  }

  /** Binds the routes and starts to take part in matchmaking. No port is opened. */
  async start(): Promise<void> {
    await this.#server.listen(0);
  }

  /** Writes the rows of `rooms`, which are on this node, where Redis has lost or missed them. */
  async repairListing(rooms: readonly Room[]): Promise<void> {
    if (!this.listing.takeIncomplete()) {
      await matchMaker.restoreMissingRoomCaches();
      return;
    }
    await Promise.all(rooms.map((room) => this.listing.persist(internals(room)._listing as IRoomCache)));
  }

  /** Whether Colyseus has this very room, so that players can be led to it: not yet while it is being created. */
  has(room: Room): boolean {
    return matchMaker.getLocalRoomById(room.roomId) === room;
  }

  stop(): void {
    this.transport.shutdown();
    this.#presence.shutdown();
  }
}

/** The same rooms under the same names and options, of classes that Ringside can host. */
function hostedRooms(rooms: RoomDefinitions, guard: RoomGuard): RoomDefinitions {
  return Object.fromEntries(
    Object.entries(rooms).map(([name, definition]) => {
      const handler = isHandler(definition) ? definition : new RegisteredHandler(definition);
      handler.klass = hostedClass(handler.klass as new () => Room, guard);
      return [name, handler];
    }),
  );
}

function isHandler(definition: RoomDefinitions[string]): definition is RegisteredHandler {
  return typeof definition === "object" && "klass" in definition;
}
