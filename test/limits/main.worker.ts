/** The project's own Worker as end-to-end tests run it: unchanged, and watched for the limits of production. */
import worker, * as classes from "../../src/index.ts";
import { trackedClass, trackedHandlers } from "./tracking.worker.ts";

export default trackedHandlers(worker);
export const CopyIndex = trackedClass(classes.CopyIndex);
export const CopyJob = trackedClass(classes.CopyJob);
export const RegistryHost = trackedClass(classes.RegistryHost);
