//go:build !race

package lifecycle

const walkLives = 250
