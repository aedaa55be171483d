// Builds the page of the console: the wire types, the checks and the bundle. A module of its own, so that none of these
// dependencies reach the product.
module github.com/refreshkeys/refreshkeys/hack/console

go 1.26.7

require (
	github.com/evanw/esbuild v0.28.2
	github.com/gzuidhof/tygo v0.2.21
)

require (
	github.com/fatih/structtag v1.2.0 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/tools v0.52.0 // indirect
)
