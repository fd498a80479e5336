/** The part of node:async_hooks that the Worker under limits uses; workers-types leaves Node's modules out. */
declare module "node:async_hooks" {
  export class AsyncLocalStorage<T> {
    run<R>(store: T, callback: () => R): R;
    getStore(): T | undefined;
  }
}
