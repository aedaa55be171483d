//go:build race

package lifecycle

// walkLives are fewer where each takes eight times as long.
const walkLives = 200
