// What react.js needs of React, for the type check alone: React is the app's.
declare module "react" {
  export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
  export function useMemo<T>(make: () => T, dependencies: readonly unknown[]): T;
  export function useDeferredValue<T>(value: T): T;
  // And of its types, for jsx.d.ts.
  export type HTMLAttributes<T> = object;
  export type DetailedHTMLProps<E, T> = E;
  export function useEffect(effect: () => void | (() => void), dependencies: readonly unknown[]): void;
}
