package cards

// Jenkins has jobs in folders that are enabled and disabled with a POST, which is answered by leading to the job's page.
// A job comes to be by a POST to its address.
func Jenkins() Card {
	const one = "/job/{folder}/job/{name}"
	set := func(buildable bool) func(c *Call) (int, any) {
		return func(c *Call) (int, any) {
			doc := c.docs[fill(one, c.Vars)]
			if doc == nil {
				return 404, Raw("<html>Not Found</html>")
			}
			doc["buildable"] = buildable
			c.Answer.Set("Location", fill(one, c.Vars)+"/")
			return 302, nil
		}
	}
	return Card{
		Name: "jenkins", Credential: [2]string{"Authorization", "Basic "}, Basic: true, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/api/json", func(*Call) (int, any) { return 200, map[string]any{"mode": "NORMAL"} }},
			{"POST", one, func(c *Call) (int, any) {
				c.docs[fill(one, c.Vars)] = map[string]any{"_class": "hudson.model.FreeStyleProject", "name": c.Vars["name"], "buildable": true}
				return 200, nil
			}},
			{"GET", one + "/api/json", func(c *Call) (int, any) { return c.one(one, clone) }},
			{"POST", one + "/enable", set(true)},
			{"POST", one + "/disable", set(false)},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		},
	}
}
