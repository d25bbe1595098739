// Settings of the nodes of a chaos run: short leases, so that a few minutes hold many faults. What a fault races with is
// named here, because the lengths of faults are drawn around it (plan.ts).

/** How the nodes of a run are told, too. */
const PACE_ENV = "CHAOS_PACE";
/** How many times slower everything goes: for a machine that is busy with other things. */
export const PACE = Math.max(1, Number(process.env[PACE_ENV] ?? 1));

export const SETTINGS = {
  leaseMs: 1_500 * PACE,
  leaseRenewMs: 200 * PACE,
  leaseMarginMs: 100 * PACE,
  checkpointMs: 400 * PACE,
  checkpointGenerations: 3,
  storeMs: 1_500 * PACE,
  commitMs: 3_000 * PACE,
  seatHoldMs: 20_000 * PACE,
  failsafeMs: 12_000 * PACE,
  drainMs: 6_000 * PACE,
} as const;

/** After healing, everything must be as it should within this time. */
export const SETTLES_MS = 10_000 * PACE;

export const ENV = {
  LEASE_MS: String(SETTINGS.leaseMs),
  LEASE_RENEW_MS: String(SETTINGS.leaseRenewMs),
  LEASE_MARGIN_MS: String(SETTINGS.leaseMarginMs),
  CHECKPOINT_MS: String(SETTINGS.checkpointMs),
  CHECKPOINT_GENERATIONS: String(SETTINGS.checkpointGenerations),
  STORE_MS: String(SETTINGS.storeMs),
  COMMIT_MS: String(SETTINGS.commitMs),
  SEAT_HOLD_MS: String(SETTINGS.seatHoldMs),
  FAILSAFE_MS: String(SETTINGS.failsafeMs),
  DRAIN_MS: String(SETTINGS.drainMs),
  [PACE_ENV]: String(PACE),
  LOG_LEVEL: "info",
} as const;
