// Settings of the nodes of a chaos run: short leases, so that a few minutes hold many faults. What a fault races with is
// named here, because the lengths of faults are drawn around it (plan.ts).

export const SETTINGS = {
  leaseMs: 1_500,
  leaseRenewMs: 200,
  leaseMarginMs: 100,
  checkpointMs: 400,
  checkpointGenerations: 3,
  storeMs: 1_500,
  commitMs: 3_000,
  seatHoldMs: 20_000,
  failsafeMs: 12_000,
} as const;

/** After healing, everything must be as it should within this time. */
export const SETTLES_MS = 10_000;

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
  DRAIN_MS: "6000",
  LOG_LEVEL: "info",
} as const;
