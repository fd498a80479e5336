/** One blob through a lane in workerd, from one test registry to another. */
import type { Handover, Transfer, TransferReport } from "../../src/host/contract.ts";
import type { HostSettings } from "../../src/registry/contract.ts";
import type { UploadShape } from "../../src/registry/upload-shape.ts";
import type { TransferOrder } from "../lane/driver/orders.ts";
import type { Driver } from "../lane/driver/workerd.ts";
import { settingsFor } from "../registry/settings.ts";
import { startRegistry, type RegistryOptions, type TestRegistry } from "../registry-server/server.ts";
import { digestOf } from "../support/sample-image.ts";

const FROM = "team/source";
const TO = "team/target";
/** Long enough for a busy machine to answer, short enough to wait for. */
const IDLE_MS = 2_000;

/** How a lane is to try. */
export interface Tries {
  shape?: UploadShape;
  attempt?: number;
  digest?: string;
  settings?: Partial<HostSettings>;
  handover?: Handover;
  order?: Partial<TransferOrder>;
}

export class OneBlob implements AsyncDisposable {
  readonly source: TestRegistry;
  readonly target: TestRegistry;

  private constructor(source: TestRegistry, target: TestRegistry) {
    this.source = source;
    this.target = target;
  }

  static async between(source: RegistryOptions, target: RegistryOptions): Promise<OneBlob> {
    return new OneBlob(await startRegistry(source), await startRegistry(target));
  }

  /** One try, as a lane makes it. */
  async move(driver: Driver, bytes: Buffer, how: Tries = {}): Promise<TransferReport & { told: Handover | null }> {
    const { digest = digestOf(bytes), shape, attempt = 1, settings = {}, handover, order = {} } = how;
    this.source.storage.addBlob(FROM, digest, { sizeBytes: bytes.length, pieces: [bytes] });
    const transfer: Transfer = {
      lease: "lease",
      loan: null,
      job: "job",
      mountFrom: [],
      attempt,
      ...(shape !== undefined && { shape }),
      ...(handover !== undefined && { handover }),
      offer: {
        id: `job/${TO}@${digest}`,
        digest,
        sizeBytes: bytes.length,
        targetRepository: TO,
        sourceHost: this.source.host,
        sourceRepository: FROM,
        mayExist: attempt > 1,
        since: 0,
      },
    };
    const { reports, told, unhandled } = await driver.run({
      transfers: [transfer],
      source: settingsFor(this.source.host),
      target: settingsFor(this.target.host, settings),
      idleMs: IDLE_MS,
      ...order,
    });
    const [report] = reports;
    if (report === undefined || unhandled.length > 0) {
      throw new Error(`the driver reported ${reports.length} transfers, unhandled: ${unhandled.join()}`);
    }
    return { ...report, told: told[0] ?? null };
  }

  /** Tries until it is copied or nothing can be learned any more, as the target's host does. */
  async insist(driver: Driver, bytes: Buffer): Promise<TransferReport> {
    let shape: UploadShape | undefined;
    for (let attempt = 1; ; attempt++) {
      const report = await this.move(driver, bytes, { attempt, ...(shape !== undefined && { shape }) });
      if (report.learned === undefined || report.result.kind !== "failed" || attempt === 6) {
        return report;
      }
      shape = report.learned;
    }
  }

  holds(bytes: Buffer): boolean {
    const pieces = this.target.storage.blobIn(TO, digestOf(bytes))?.pieces ?? [];
    return pieces.length > 0 && Buffer.concat(pieces).equals(bytes);
  }

  /** Bytes of the blob's size that the target was sent beyond it, as a part of that size. */
  resentPart(bytes: Buffer): number {
    const sentBytes = this.target.requests.reduce((sum, { bytesIn }) => sum + bytesIn, 0);
    return sentBytes / bytes.length - 1;
  }

  /** Method and status of what the target was asked. */
  get steps(): string[] {
    return this.target.requests.map(({ method, status }) => `${method} ${status}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source.close(), this.target.close()]);
  }
}
