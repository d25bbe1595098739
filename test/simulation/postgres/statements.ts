// The statements of the model, by the names of their files in src/postgres/queries/.

import * as checkpoints from "./checkpoint-statements.ts";
import * as nodes from "./node-statements.ts";
import * as rooms from "./room-statements.ts";
import type { Statement } from "./statement.ts";

export type ModelStatements = Readonly<Record<string, Statement>>;

export const MODEL: ModelStatements = {
  "register-node": nodes.registerNode,
  "renew-lease": nodes.renewLease,
  "mark-down": nodes.markDown,
  "set-draining": nodes.setDraining,
  leave: nodes.leave,
  "create-room": rooms.createRoom,
  "claim-rooms": rooms.claimRooms,
  "release-room": rooms.releaseRoom,
  "take-room": rooms.takeRoom,
  "failed-open": rooms.failedOpen,
  "dispose-room": rooms.disposeRoom,
  "lock-room": rooms.lockRoomStatement,
  "locate-room": rooms.locateRoom,
  "unowned-rooms": rooms.unownedRooms,
  "orphaned-rooms": rooms.orphanedRooms,
  "taken-rooms": rooms.takenRooms,
  "save-checkpoints": checkpoints.saveCheckpoints,
  "read-rooms": checkpoints.readRooms,
  "older-checkpoint": checkpoints.olderCheckpoint,
  "find-checkpoint": checkpoints.findCheckpoint,
  "keep-unreadable": checkpoints.keepUnreadable,
  [checkpoints.EFFECT]: checkpoints.addEffect,
};
