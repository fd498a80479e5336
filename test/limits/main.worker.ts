/** How end-to-end tests frame the project's own Worker: unchanged, and watched for the limits of production. */
export { trackedClass as durableClass, trackedHandlers as handlers } from "./tracking.worker.ts";
