// Package console is the server of the web page of refresh keys. It shows what the person who is signed in may see, and does what
// they may do, with their own credential at the API server: the console has no rights of its own.
//
// It has fixed routes and nothing that takes a path of the API server. Each route is a file; what they exchange with the page is in
// internal/console/wire, and what they show of an object is decided in internal/console/view, which is pure.
package console
