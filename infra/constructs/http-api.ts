// The HTTP API. Operators sign their requests with AWS credentials (IAM). Mail hosts have none: what they send is signed
// by the host's own key, and the handler verifies that, since an authorizer would not see the body.

import { Validations } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  HttpApi as Api,
  CfnStage,
  HttpMethod,
  HttpNoneAuthorizer,
  HttpStage,
  LogGroupLogDestination,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

/** Paths that a host's own signature opens. */
const hostPaths = ['/v1/hosts/{host}/pull', '/v1/hosts/{host}/acknowledgements'];

/** A second; 300 hosts that pull once a minute are 5, and after a deployment they may all come at once. */
const hostThrottle = { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 300 };
const operatorThrottle = { rateLimit: 20, burstLimit: 40 };

/** No header and no body: signatures stay out of the log. */
const logFields = {
  requestId: '$context.requestId',
  time: '$context.requestTime',
  address: '$context.identity.sourceIp',
  caller: '$context.identity.userArn',
  route: '$context.routeKey',
  path: '$context.path',
  status: '$context.status',
  error: '$context.error.message',
  milliseconds: '$context.responseLatency',
};

export class HttpApi extends Construct {
  readonly url: string;
  readonly api: Api;

  constructor(scope: Construct, id: string, handler: IFunction) {
    super(scope, id);
    this.api = new Api(this, 'Api', {
      description: 'Selkie: rotates DKIM keys',
      createDefaultStage: false,
      defaultAuthorizer: new HttpIamAuthorizer(),
    });
    const integration = new HttpLambdaIntegration('Integration', handler);
    const { api } = this;
    api.addRoutes({ path: '/v1/{proxy+}', methods: [HttpMethod.ANY], integration });
    api.addRoutes({ path: '/openapi.json', methods: [HttpMethod.GET], integration });
    const hostRoutes = hostPaths.flatMap((path) =>
      api.addRoutes({ path, methods: [HttpMethod.POST], integration, authorizer: new HttpNoneAuthorizer() }),
    );
    const [bundleKeys] = api.addRoutes({
      path: '/v1/bundle-keys',
      methods: [HttpMethod.GET],
      integration,
      authorizer: new HttpNoneAuthorizer(),
    });
    if (bundleKeys !== undefined)
      Validations.of(bundleKeys).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason:
          'Public keys, which a host that enrols compares with the thumbprint that its administrator was told.',
      });
    for (const route of hostRoutes)
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason:
          "Mail hosts have no AWS credentials. The body is a JWS by the host's own key, with audience, time and nonce, and the handler verifies it before anything else.",
      });

    const accessLog = new LogGroup(this, 'AccessLog', { retention: RetentionDays.THREE_MONTHS });
    const stage = new HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: operatorThrottle,
      accessLogSettings: {
        destination: new LogGroupLogDestination(accessLog),
        format: AccessLogFormat.custom(JSON.stringify(logFields)),
      },
    });
    const resource = stage.node.defaultChild;
    if (resource instanceof CfnStage)
      resource.routeSettings = Object.fromEntries(hostPaths.map((path) => [`POST ${path}`, hostThrottle]));
    // A stage is refused settings for a route that is not there yet.
    stage.node.addDependency(...hostRoutes);
    this.url = stage.url;
  }
}
