//go:build race

package lifecycle

// walkLives is lower with the race detector, with which each life takes eight times as long.
const walkLives = 200
