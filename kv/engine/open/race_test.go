//go:build race

package open_test

// raceDetector says that this program carries the race detector, which costs several times the memory and the time.
const raceDetector = true
