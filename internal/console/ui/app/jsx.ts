// What the elements of all pages become: hack/console adds this to each file with elements.
export { Fragment, h } from "preact";
