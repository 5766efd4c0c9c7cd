//go:build race

package httpapi

// raced leaves one contract of each kind: the race detector makes all of them take longer than a package may,
// and it looks for interleavings, of which each has the same.
func raced(list []contract) (out []contract) {
	seen := map[string]bool{}
	for _, c := range list {
		if !seen[c.kind] {
			seen[c.kind] = true
			out = append(out, c)
		}
	}
	return out
}
