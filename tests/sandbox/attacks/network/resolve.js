// attack: Names: resolvers, hosts file, the runtime's own client; no question leaves the box.
// limits: {"wall_time_ms": 4000}
// expect: accepted stdout="refused\n"
const dns = require("dns");
const resolver = new dns.Resolver({ timeout: 200, tries: 1 });
resolver.setServers(["127.0.0.1:@UDP_PORT@", "8.8.8.8"]);
resolver.resolve4("secret.example.com", (error, found) => {
    if (!error)
        console.log("ESCAPED", found);
    dns.lookup("example.com", (problem, address) => {
        console.log(problem ? "refused" : "ESCAPED " + address);
        process.exit(0);
    });
});
