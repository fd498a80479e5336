/** The network of tests inside workerd: requests of the service can be kept back for as long as a test needs them to last. */
import { vi } from "vitest";

const realFetch = globalThis.fetch;

export class HeldNetwork {
  /** Which requests are kept back, each as `PUT http://…`; asked again and again, so that they can be let go. */
  holds: (request: string) => boolean = () => false;
  /** What becomes of a request that was kept back and has been let go. */
  answer: (send: () => Promise<Response>) => Promise<Response> = (send) => send();
  /** Whatever was kept back, in order. */
  readonly held: string[] = [];

  begin(): void {
    this.held.length = 0;
    this.answer = (send) => send();
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const request = `${init?.method ?? "GET"} ${input instanceof Request ? input.url : input}`;
      const send = (): Promise<Response> => realFetch(input, init);
      if (!this.holds(request)) {
        return send();
      }
      this.held.push(request);
      // Not one promise for all: workerd ends a request that waits for nothing of its own.
      while (this.holds(request)) {
        init?.signal?.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return this.answer(send);
    });
  }

  letGo(): void {
    this.holds = () => false;
  }

  end(): void {
    this.letGo();
    vi.restoreAllMocks();
  }
}
