// Says of a resource with a wildcard why it has one, so that cdk-nag passes that resource alone and nothing beside it.

import { Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** As cdk-nag writes a resolved ARN: references in angle brackets. */
const flatten = (value: unknown): string => {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null) {
    if ('Fn::GetAtt' in value && Array.isArray(value['Fn::GetAtt']))
      return `<${value['Fn::GetAtt'].join('.')}>`;
    if ('Ref' in value) return `<${String(value.Ref)}>`;
    if ('Fn::GetAtt' in value && Array.isArray(value['Fn::GetAtt']))
      return `<${value['Fn::GetAtt'].join('.')}>`;
    if ('Fn::Join' in value && Array.isArray(value['Fn::Join'])) {
      const [delimiter, parts] = value['Fn::Join'];
      return Array.isArray(parts) ? parts.map(flatten).join(String(delimiter)) : '';
    }
  }
  return JSON.stringify(value);
};

export const acknowledgeWildcard = (construct: IConstruct, arn: string, reason: string): void =>
  Validations.of(construct).acknowledge({
    id: `AwsSolutions-IAM5[Resource::${flatten(Stack.of(construct).resolve(arn))}]`,
    reason,
  });
