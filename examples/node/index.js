// Ask for a user's slate: `node index.js USER [ITEM …]`. See examples/README.md.
'use strict';

const path = require('node:path');
const { randomUUID } = require('node:crypto');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const PROTOS = path.join(__dirname, '..', '..', 'protos');
const TARGET = process.env.TRUNKSHOW_TARGET || '127.0.0.1:7450';
const DEADLINE_MS = 200;
const CONNECT_MS = 2000;

// The contract itself is all a caller needs: nothing was generated for this example.
const contract = protoLoader.loadSync('trunkshow/v1/recommendation.proto', {
  includeDirs: [PROTOS],
  keepCase: true,
  enums: String,
  defaults: true,
});
const { RecommendationService } = grpc.loadPackageDefinition(contract).trunkshow.v1;

// One client for the life of the service. A restarted router is found again within about a second.
const client = new RecommendationService(TARGET, grpc.credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
});

function connect() {
  return new Promise((resolve, reject) => {
    client.waitForReady(Date.now() + CONNECT_MS, (error) => (error ? reject(error) : resolve()));
  });
}

function recommend(request) {
  const metadata = new grpc.Metadata();
  metadata.set('x-request-id', randomUUID());
  return new Promise((resolve, reject) => {
    client.Recommend(request, metadata, { deadline: Date.now() + DEADLINE_MS }, (error, slate) =>
      error ? reject(error) : resolve(slate),
    );
  });
}

function show(slate) {
  for (const carousel of slate.carousels) {
    console.log(`\n${carousel.title}  (${carousel.source}, ${carousel.rung})`);
    for (const item of carousel.items) {
      console.log(`  ${item.item_id.padStart(12)}  ${item.reason}`);
    }
  }
  const { receipt } = slate;
  console.log(`\n${receipt.rung} from snapshot ${receipt.snapshot_version} in ${receipt.elapsed_ms.toFixed(1)} ms`);
  if (receipt.reasons.length) {
    console.log(`reasons: ${receipt.reasons.join(', ')}`);
  }
}

async function main() {
  const [user = 'somebody', ...items] = process.argv.slice(2);
  try {
    await connect();
    show(await recommend({ user_id: user, context_item_ids: items, items_per_carousel: 5 }));
  } catch (error) {
    const field = error.metadata?.get('trunkshow-field')[0];
    console.error(field ? `the request is wrong in ${field}: ${error.details}` : `no slate: ${error.message}`);
    process.exitCode = error.code === grpc.status.INVALID_ARGUMENT ? 2 : 1;
  } finally {
    client.close();
  }
}

main();
