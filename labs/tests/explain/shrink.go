// Shrinking: from a long failing history to a short one that fails in the same way.

package explain

// Shrink returns a small part of steps, in their order, for which fails still answers true. It drops halves, then
// quarters, and so on down to single steps (delta debugging, Zeller 1999), and runs fails at most budget times, so that
// a slow case ends as well; the answer is then only less small. steps itself must fail.
func Shrink[S any](steps []S, budget int, fails func([]S) bool) []S {
	for size := (len(steps) + 1) / 2; size >= 1 && budget > 0; {
		smaller := false
		for at := 0; at < len(steps) && budget > 0; {
			end := min(at+size, len(steps))
			without := append(append([]S{}, steps[:at]...), steps[end:]...)
			budget--
			if len(without) > 0 && fails(without) {
				steps, smaller = without, true
			} else {
				at = end
			}
		}
		if size == 1 && !smaller {
			break
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return steps
}
