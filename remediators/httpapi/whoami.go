package httpapi

import (
	"errors"
	"fmt"

	"sideledger/remediators"
)

// Whoami implements [remediators.Whoamist]: as the profile says. The headers of all its calls are this one's too.
func (r *Remediator) Whoami() *remediators.WhoamiConfig {
	if r.profile == nil {
		return nil
	}
	return r.profile.Whoami
}

// checkWhoami reads the question and gives it the profile's headers.
func (p *profile) checkWhoami() error {
	w := p.Whoami
	if w == nil {
		return nil
	}
	headers := map[string]string{}
	for name, v := range p.Headers {
		if s, ok := v.(string); ok {
			headers[name] = s
		}
	}
	for name, v := range w.Headers {
		headers[name] = v
	}
	w.Headers = headers
	var bad []error
	w.Validate(func(field, msg string) { bad = append(bad, fmt.Errorf("%s %s", field, msg)) })
	return errors.Join(bad...)
}
