package cards

// KafkaConnect has connectors by name: a PUT replaces their configuration or makes them, running; a POST makes one that is
// not there. The state of one that was deleted is forgotten.
func KafkaConnect() Card {
	const list = "/connectors"
	const one = list + "/{name}"
	state := func(to string, status int) func(c *Call) (int, any) {
		return func(c *Call) (int, any) {
			doc := c.docs[fill(one, c.Vars)]
			if doc == nil {
				return 404, map[string]any{"error_code": 404, "message": "Unknown connector"}
			}
			doc["state"] = to
			return status, nil
		}
	}
	return Card{
		Name: "kafkaconnect", Credential: [2]string{"Authorization", "Basic "}, Basic: true, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(list) {
					out = append(out, path[len(list)+1:])
				}
				return 200, out
			}},
			{"GET", one + "/config", func(c *Call) (int, any) {
				return c.one(one, func(doc map[string]any) map[string]any { return part(doc, "config") })
			}},
			{"GET", one + "/status", func(c *Call) (int, any) {
				return c.one(one, func(doc map[string]any) map[string]any {
					return map[string]any{"name": c.Vars["name"], "connector": map[string]any{"state": doc["state"], "worker_id": "10.0.0.1:8083"}, "tasks": []any{}}
				})
			}},
			{"POST", list, kafkaConnectPost},
			{"PUT", one + "/config", kafkaConnectPut},
			{"PATCH", one + "/config", kafkaConnectPatch},
			{"PUT", one + "/pause", state("PAUSED", 202)},
			{"PUT", one + "/resume", state("RUNNING", 202)},
			{"PUT", one + "/stop", state("STOPPED", 204)},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		},
	}
}

func kafkaConnectPost(c *Call) (int, any) {
	in, ok := c.JSON()
	name := text(in, "name")
	switch {
	case !ok || name == "":
		return 400, map[string]any{"error_code": 400, "message": "the name is missing"}
	case c.docs["/connectors/"+name] != nil:
		return 409, map[string]any{"error_code": 409, "message": "Connector " + name + " already exists"}
	}
	return kafkaConnectSet(c, name, part(in, "config"))
}

func kafkaConnectPatch(c *Call) (int, any) {
	doc := c.docs["/connectors/"+c.Vars["name"]]
	in, ok := c.JSON()
	if doc == nil || !ok {
		return 404, map[string]any{"error_code": 404, "message": "Unknown connector"}
	}
	config := clone(part(doc, "config"))
	for name, v := range in {
		if config[name] = v; v == nil {
			delete(config, name)
		}
	}
	return kafkaConnectSet(c, c.Vars["name"], config)
}

func kafkaConnectPut(c *Call) (int, any) {
	in, _ := c.JSON()
	return kafkaConnectSet(c, c.Vars["name"], in)
}

// kafkaConnectSet makes a configuration that of a connector.
func kafkaConnectSet(c *Call, name string, in map[string]any) (int, any) {
	path, ok := "/connectors/"+name, in != nil
	if !ok || in["connector.class"] == nil || in["name"] != nil && in["name"] != name {
		return 400, map[string]any{"error_code": 400, "message": "Connector configuration is invalid"}
	}
	for _, v := range in {
		if _, isText := v.(string); !isText {
			return 400, map[string]any{"error_code": 400, "message": "values are strings"}
		}
	}
	in["name"] = name
	doc, status := c.docs[path], 200
	if doc == nil {
		doc, status = map[string]any{"state": "RUNNING"}, 201
	}
	doc["config"] = in
	c.docs[path] = doc
	return status, map[string]any{"name": name, "config": in, "tasks": []any{}, "type": "sink"}
}
