// Package route53 is the remediator of record sets in AWS Route 53. It is code and not a profile: the API speaks XML, and
// an undo deletes exactly what was seen and creates what was before, in one batch that is carried out whole or not at all.
package route53
