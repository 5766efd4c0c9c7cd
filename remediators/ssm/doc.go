// Package ssm is the remediator of AWS Systems Manager's Parameter Store. It is code and not a profile: every call is a
// POST to one address, an error is a name behind a 400, and the value of a SecureString goes from an old version to a
// new one without being kept anywhere on the way.
package ssm
