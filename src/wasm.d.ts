/** A WebAssembly file that is imported is compiled at deployment: compiling at run time is forbidden in Workers. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
