// What react.js needs of React, for the type check alone: React is the app's.
declare module "react" {
  export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
  export function useMemo<T>(make: () => T, dependencies: readonly unknown[]): T;
  export function useDeferredValue<T>(value: T): T;
  export function useEffect(effect: () => void | (() => void), dependencies: readonly unknown[]): void;
}
