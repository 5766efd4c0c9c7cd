// Package alertmanager is the remediator of Alertmanager's silences. It is code and not a profile, since no
// profile can say what an undo needs here: an expired silence is answered with 200 and is gone all the same, a
// POST may expire the silence it names and answer with another id, the server moves starts that are past, and
// a silence that came back is found by what it says, not by its id.
package alertmanager
